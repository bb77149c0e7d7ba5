-- What a recovery leaves behind: where each generation of positions begins, and who recovered the store, when and why.
--
-- Written by `nexus recover` alone, as the owner: a serving connection only reads.

create table generations (
  generation integer not null check (generation > 1),
  lane smallint not null,
  -- Positions of the lane from here on are the generation's, until the next one begins. What readers have seen of
  -- earlier generations from here on is void.
  first_position bigint not null check (first_position > 0),
  primary key (generation, lane)
);
comment on table generations is 'Where each generation after the first begins, by lane. No rows: no commit was ever lost.';

create table recoveries (
  number integer primary key check (number > 0),
  begun_at timestamptz not null default clock_timestamp(),
  begun_by text not null,
  reason text not null,
  -- As it was found: by lane how far the log goes, and when it was last written, in milliseconds since 1970. A run that
  -- goes on where another was killed must look back as far as that one.
  heads bigint[] not null,
  log_ended_at bigint not null,
  -- By lane, how far Kafka and the anchor had seen the log; null: not raised.
  known bigint[],
  -- The generation that it raised the store to; null: nothing was known to be ahead of the log, or not yet.
  generation integer,
  -- Null while it is under way, or was interrupted: nothing serves the store until it is finished.
  finished_at timestamptz,
  imported jsonb
);
comment on table recoveries is 'Each run of nexus recover. While one is not finished the store is not served.';

-- An order that only the exchange still knew has no other id than the one that the exchange knows it by.
create index orders_imported on orders (order_id) where order_id = client_order_id;

grant select on generations, recoveries to nexus_app;
