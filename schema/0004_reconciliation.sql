-- What comparing the log with the exchange has shown, where every replica can read it: orders of other programs
-- under our keys, the last comparison, and how far each attempt in doubt has been asked about.
--
-- Nothing here is owed or promised: all of it is found again by the next comparison, so it may be emptied at any time.
-- Moments are milliseconds since 1970 in UTC.

create table foreign_orders (
  symbol text collate "C" not null,
  exchange_order_id text collate "C" not null,
  client_order_id text not null,
  side text not null,
  type text not null,
  -- In the base asset.
  quantity numeric not null,
  executed numeric not null,
  -- The exchange's own word; UNKNOWN: it was open and is listed no more.
  status text not null,
  is_open boolean not null,
  -- When the exchange was first seen to have it.
  since bigint not null,
  updated_at bigint not null,
  primary key (symbol, exchange_order_id)
) with (fillfactor = 75);
comment on table foreign_orders is 'Orders at the exchange, under our keys, that this store never sent. Listed, never touched.';
create index foreign_orders_by_age on foreign_orders (is_open, updated_at);

create table reconciliation (
  only_row boolean primary key default true check (only_row),
  reported_at bigint not null,
  content jsonb not null
) with (fillfactor = 10);
comment on table reconciliation is 'What the last comparison of open orders with the exchange has shown.';

create table doubts (
  order_id text collate "C" primary key,
  attempt integer not null,
  -- How often the exchange was asked for the order.
  asked integer not null,
  last_asked_at bigint not null,
  next_check_at bigint not null,
  -- [{"question", "answer", "at"}], the newest answer to each question.
  evidence jsonb not null
) with (fillfactor = 75);
comment on table doubts is 'How far each attempt without a clear outcome has been asked about.';

grant select, insert, update, delete on foreign_orders, reconciliation, doubts to nexus_app;
