-- What stands around the log: whose store this is, who owns which work, how far the bus has the log,
-- and what the exchange said about its symbols.
--
-- The migrating user owns everything here. Serving connections run as `nexus_app`, which may do what is granted
-- at the end of each file and nothing else; the migrator creates that role before the first file.
-- One row per lane (cursors, relay leases) and the row of `store` are written by the migrator, which knows L.

-- Nobody but the owner and nexus_app finds anything here. A user who does not own the schema cannot change that.
do $$
begin
  if (select pg_has_role(current_user, nspowner, 'USAGE') from pg_namespace where nspname = 'public') then
    revoke all on schema public from public;
  end if;
  grant usage on schema public to nexus_app;
end $$;

create table store (
  -- One row, for ever.
  only_row boolean primary key default true check (only_row),
  -- Drawn at the first opening. Part of every client order id, so that two stores never share one.
  store_id uuid,
  -- Raised when a restore or failover lost events, so that positions issued again are not mistaken for old ones.
  generation integer not null default 1 check (generation > 0),
  exchange text check (exchange in ('SIMULATOR', 'TESTNET')),
  -- Known once the exchange was asked with our keys.
  account_uid text,
  -- L: how many lanes there are, for ever.
  lanes smallint not null check (lanes between 1 and 256),
  opened_at timestamptz,
  check ((store_id is null) = (exchange is null)),
  check (account_uid is null or store_id is not null)
);
comment on table store is 'Whose log this is. A start against another exchange or account is refused.';

create function keep_store() returns trigger language plpgsql as $$
begin
  if new.store_id is distinct from coalesce(old.store_id, new.store_id)
    or new.exchange is distinct from coalesce(old.exchange, new.exchange)
    or new.account_uid is distinct from coalesce(old.account_uid, new.account_uid)
    or new.lanes <> old.lanes or new.generation < old.generation then
    raise exception 'a store belongs to one exchange and one account for ever' using errcode = 'insufficient_privilege';
  end if;
  return new;
end $$;
create trigger keep_store before update on store for each row execute function keep_store();
alter table store enable always trigger keep_store;

-- Replicas beat here and name the work that they can do; who is not seen for its time to live is gone.
create table replicas (
  -- Unique per process start.
  id text collate "C" primary key,
  roles text[] not null,
  seen_at timestamptz not null
) with (fillfactor = 10);
comment on table replicas is 'Which processes live, and which roles each of them runs.';

-- Work that must have one owner. A write that counts names (owner, epoch) and is refused when they are no longer these.
create table leases (
  -- relay/<lane>, user-stream, reconciler, auditor
  role text collate "C" primary key,
  owner text collate "C",
  epoch bigint not null default 0,
  expires_at timestamptz not null default '-infinity'
) with (fillfactor = 10);
comment on table leases is 'Who owns which single work, and until when. Only PostgreSQL''s clock is asked.';

create table cursors (
  lane smallint primary key,
  -- Position of the last event that the bus has confirmed; 0 for none.
  position bigint not null default 0 check (position >= 0),
  -- Of the lease under which it was written last.
  epoch bigint not null default 0
) with (fillfactor = 10);
comment on table cursors is 'How far the bus has each lane. With the log this is the whole outbox.';

create table instruments (
  version integer primary key check (version > 0),
  -- Moments are milliseconds since 1970 in UTC.
  taken_at bigint not null,
  -- When the exchange last said the same.
  checked_at bigint not null,
  content jsonb not null,
  content_hash bytea not null
);
comment on table instruments is 'What the exchange said of its symbols and filters, a row per change. Events name the version they used.';

create table parked (
  consumer text collate "C" not null,
  lane smallint not null,
  position bigint not null,
  stream_id text collate "C" not null,
  reason text not null,
  -- As it stood, so that it can be looked at and sent again.
  record text not null,
  parked_at timestamptz not null default clock_timestamp(),
  primary key (consumer, lane, position)
);
comment on table parked is 'Records that could not be sent or handled. The order waits for an operator, its lane goes on.';

create table anchors (
  number bigint primary key check (number > 0),
  anchored_at bigint not null,
  generation integer not null,
  -- Of each lane: head position and batch hash, as they went into the root.
  heads jsonb not null,
  root bytea not null,
  key_id text not null,
  signature bytea not null
);
comment on table anchors is 'Signed roots over all lanes: what finds a log that was rewritten or cut as a whole.';

create table api_keys (
  key_id text collate "C" primary key,
  name text not null,
  -- Never the key itself.
  secret_hash bytea not null,
  scopes text[] not null,
  created_at timestamptz not null default clock_timestamp(),
  revoked_at timestamptz
);
comment on table api_keys is 'Who may call the HTTP interface.';

create table limits (
  -- What is limited, e.g. the weight per minute of one address.
  name text collate "C" primary key,
  -- Until then the exchange wants to hear nothing of us.
  banned_until timestamptz,
  used bigint not null default 0 check (used >= 0),
  window_ends_at timestamptz not null default '-infinity'
) with (fillfactor = 10);
comment on table limits is 'Rate budget and bans that replicas share: the exchange counts them together.';

grant select on store, replicas, leases, cursors, instruments, parked, anchors, api_keys, limits, schema_migrations to nexus_app;
grant update (store_id, exchange, account_uid, opened_at) on store to nexus_app;
grant insert, update, delete on replicas to nexus_app;
-- Their rows are made by the migrator: a serving connection can neither add nor remove work.
grant update (owner, epoch, expires_at) on leases to nexus_app;
grant update (position, epoch) on cursors to nexus_app;
grant insert, update (checked_at) on instruments to nexus_app;
grant insert on parked, anchors to nexus_app;
grant insert, update on limits to nexus_app;
