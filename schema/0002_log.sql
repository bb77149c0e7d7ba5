-- The log and what is written with it in the same transaction: stream heads, batches and the blotter.
--
-- Who may do what. `nexus_app`, the role of every serving connection, reads these tables and writes none of
-- them: it may only call `append`, which runs with the rights of the owner (SECURITY DEFINER, search_path
-- pinned). So whoever holds a serving connection can append well-formed batches, and cannot insert a row
-- at another place, change a head or touch what is written. UPDATE, DELETE and TRUNCATE are refused to the
-- owner and to superusers as well, by triggers that fire even with session_replication_role = replica; what
-- then remains (dropping the trigger) is found by the hash chains.
--
-- Moments are milliseconds since 1970 in UTC, as bigint: they enter hashes and must come back exactly.

create table streams (
  stream_id text collate "C" primary key,
  lane smallint not null,
  version integer not null check (version > 0),
  -- Hash of the last event; compared and swapped together with the version.
  head_hash bytea not null,
  -- What the placing request was, normalised. Empty for the account, which nobody placed.
  request_hash bytea not null
) with (fillfactor = 75);
comment on table streams is 'One row per order, and one for the account: where its stream ends.';

create table events (
  lane smallint not null,
  -- Dense per lane from 1, in commit order: given under the lane lock.
  position bigint not null,
  stream_id text collate "C" not null,
  version integer not null,
  event_id text collate "C" not null,
  type text collate "C" not null,
  schema_version smallint not null,
  occurred_at bigint not null,
  recorded_at bigint not null,
  actor text collate "C" not null,
  correlation_id text collate "C" not null,
  causation_id text collate "C",
  command_id text collate "C" not null,
  trace_parent text collate "C",
  data jsonb not null,
  -- Hash of the event before it in the stream; empty for the first.
  previous_hash bytea not null,
  hash bytea not null,
  primary key (lane, position),
  -- The compare-and-swap on `streams` holds this already; the index is the second lock on the same door,
  -- and how a stream is read.
  unique (stream_id, version)
) with (autovacuum_vacuum_insert_scale_factor = 0.05);
comment on table events is 'What happened, for ever. Every other table about orders follows from this one.';

create table batches (
  lane smallint not null,
  first_position bigint not null,
  last_position bigint not null,
  recorded_at bigint not null,
  -- The process that wrote it.
  node text collate "C" not null,
  -- Running totals of the lane after this batch.
  orders_total bigint not null,
  orders_processing bigint not null,
  orders_completed bigint not null,
  orders_failed bigint not null,
  orders_cancelled bigint not null,
  previous_hash bytea not null,
  hash bytea not null,
  primary key (lane, last_position)
);
comment on table batches is 'One row per append: the lane''s head, its chained hash, its clock and its totals. Insert-only, so no hot row.';

create table orders (
  order_id text collate "C" primary key,
  client_order_id text collate "C" not null unique,
  exchange_order_id text,
  symbol text not null,
  side text not null,
  type text not null,
  time_in_force text,
  quantity numeric,
  quote_quantity numeric,
  price numeric,
  valid_until bigint,
  status text collate "C" not null check (status in ('PENDING', 'EXECUTING', 'COMPLETED', 'FAILED', 'CANCELLED')),
  certainty text collate "C" not null,
  cancel_requested boolean not null,
  cancel_refused boolean not null,
  filled_quantity numeric not null,
  filled_quote numeric not null,
  average_price numeric,
  -- Asset to decimal text.
  fees jsonb not null,
  fills jsonb not null,
  reason_code text,
  reason_message text,
  parked boolean not null,
  attempt_number integer,
  attempt_timestamp bigint,
  attempt_recv_window_millis integer,
  attempt_started_at bigint,
  attempt_state text collate "C",
  next_attempt_at bigint,
  stale_at bigint,
  -- When an executor should look at the order; null unless it is PENDING and not parked.
  due_at bigint,
  placed_at bigint not null,
  updated_at bigint not null,
  lane smallint not null,
  version integer not null
) with (fillfactor = 75);
comment on table orders is 'The blotter: each order as the fold of its events. Derived; may be dropped and rebuilt.';

-- Listing, by one status or by several merged.
create index orders_by_status on orders (status, placed_at, order_id);
create index orders_due on orders (due_at, order_id) where due_at is not null;
create index orders_in_doubt on orders (order_id)
  where status = 'EXECUTING' and attempt_state in ('STARTED', 'UNKNOWN');
create index orders_open on orders (order_id) where status = 'EXECUTING' and attempt_state = 'ACCEPTED';
create index orders_cancel_unanswered on orders (order_id)
  where status = 'EXECUTING' and attempt_state = 'ACCEPTED' and cancel_requested and not cancel_refused;

-- What the bus has not confirmed yet. Nothing is written, marked or deleted per message: the log is what is
-- owed, and one cursor per lane says how far it has been paid.
create view outbox as
  select events.*
  from cursors
  join events on events.lane = cursors.lane and events.position > cursors.position;

create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% of % is refused: it is append-only', tg_op, tg_table_name using errcode = 'insufficient_privilege';
end $$;

create trigger append_only before update or delete or truncate on events
  for each statement execute function refuse_change();
alter table events enable always trigger append_only;
create trigger append_only before update or delete or truncate on batches
  for each statement execute function refuse_change();
alter table batches enable always trigger append_only;
-- The head of a stream moves, by `append` alone; a stream never goes away.
create trigger append_only before delete or truncate on streams
  for each statement execute function refuse_change();
alter table streams enable always trigger append_only;

-- The hash of a batch, over a layout in which every field has one place: integers are big-endian, texts are
-- preceded by their length in bytes.
--   previous batch hash (32 bytes; none for the first) · lane int4 · first position int8 · last position int8 ·
--   recorded_at int8 · length of node int4 · node utf-8 · total, processing, completed, failed, cancelled int8 each ·
--   hashes of the events in position order (32 bytes each)
create function batch_hash(b batches, event_hashes bytea) returns bytea language sql immutable as $$
  select sha256(
    b.previous_hash || int4send(b.lane) || int8send(b.first_position) || int8send(b.last_position) ||
    int8send(b.recorded_at) || int4send(octet_length(b.node)) || convert_to(b.node, 'UTF8') ||
    int8send(b.orders_total) || int8send(b.orders_processing) || int8send(b.orders_completed) ||
    int8send(b.orders_failed) || int8send(b.orders_cancelled) || event_hashes)
$$;

-- Appends what 1 to 256 commands decided, each on a stream of its own, all in one lane. A command is stored
-- whole or not at all; the others do not depend on it.
--
--   appended   how many were stored
--   others     [{"i": index from 1, "outcome": "duplicate" | "conflict", "version": …}] for the rest. duplicate:
--              these very events stand in the log already (the answer to the first call was lost);
--              version is where they end. conflict: the stream is elsewhere; version is where (0: it is not).
--
-- The lane lock comes first, so no deadlock is possible, and it is held until the commit is visible: positions
-- are dense and in commit order. The lane's head is read by a statement of its own, whose snapshot is
-- younger than the lock; under REPEATABLE READ it would not be, hence the check. Streams are probed one by one
-- by primary key: a join over the whole batch is faster at its best and changes plan on a young table.
-- There is no NOTIFY here: it would put all commits of the database into one line.
create function append(
  p_lane smallint, p_node text, p_commands jsonb,
  out appended integer, out others jsonb
) language plpgsql volatile security definer
  set search_path = public, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  set jit = off
as $$
declare
  -- Number of the advisory lock family of lanes.
  lane_locks constant integer := 7301;
  head batches;
  command record;
  stored integer[] := '{}';
  event_hashes bytea;
begin
  -- Poolers drop the startup option that makes a serving connection `nexus_app`.
  if coalesce(nullif(current_setting('role'), 'none'), session_user) <> 'nexus_app' then
    raise exception 'appends are for connections of the role nexus_app, this one is %', session_user
      using errcode = 'insufficient_privilege';
  end if;
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'appends need READ COMMITTED';
  end if;

  perform pg_advisory_xact_lock(lane_locks, p_lane);
  select * into head from batches where lane = p_lane order by last_position desc limit 1;
  head.lane := p_lane;
  head.first_position := coalesce(head.last_position, 0) + 1;
  head.recorded_at := greatest(coalesce(head.recorded_at, 0), floor(extract(epoch from clock_timestamp()) * 1000)::bigint);
  head.node := p_node;
  head.orders_total := coalesce(head.orders_total, 0);
  head.orders_processing := coalesce(head.orders_processing, 0);
  head.orders_completed := coalesce(head.orders_completed, 0);
  head.orders_failed := coalesce(head.orders_failed, 0);
  head.orders_cancelled := coalesce(head.orders_cancelled, 0);
  head.previous_hash := coalesce(head.hash, ''::bytea);

  for command in
    select * from rows from (jsonb_to_recordset(p_commands)
      as (s text, v integer, n integer, p text, h text, q text, b text, a text)) with ordinality
      as c(stream_id, expected, n, previous_hash, head_hash, request_hash, before, after, i)
  loop
    if command.expected = 0 then
      insert into streams (stream_id, lane, version, head_hash, request_hash)
        values (command.stream_id, p_lane, command.n, decode(command.head_hash, 'hex'),
          decode(coalesce(command.request_hash, ''), 'hex'))
        on conflict do nothing;
    else
      update streams set version = command.expected + command.n, head_hash = decode(command.head_hash, 'hex')
        where stream_id = command.stream_id and version = command.expected and lane = p_lane
          and head_hash = decode(command.previous_hash, 'hex');
    end if;
    if found then
      stored := stored || command.i::integer;
      -- The version check makes the writer's word about the order's status true.
      if command.before is null and command.after is not null then
        head.orders_total := head.orders_total + 1;
      end if;
      if command.before is distinct from command.after then
        case command.before
          when 'PENDING', 'EXECUTING' then head.orders_processing := head.orders_processing - 1;
          when 'COMPLETED' then head.orders_completed := head.orders_completed - 1;
          when 'FAILED' then head.orders_failed := head.orders_failed - 1;
          when 'CANCELLED' then head.orders_cancelled := head.orders_cancelled - 1;
          else null;
        end case;
        case command.after
          when 'PENDING', 'EXECUTING' then head.orders_processing := head.orders_processing + 1;
          when 'COMPLETED' then head.orders_completed := head.orders_completed + 1;
          when 'FAILED' then head.orders_failed := head.orders_failed + 1;
          when 'CANCELLED' then head.orders_cancelled := head.orders_cancelled + 1;
          else null;
        end case;
      end if;
    end if;
  end loop;
  appended := cardinality(stored);

  if appended > 0 then
    with accepted as materialized (
      select c.*, (sum(c.n) over (order by c.i) - c.n)::bigint as before
      from rows from (jsonb_to_recordset(p_commands) as (s text, v integer, n integer, c text, e jsonb)) with ordinality
        as c(stream_id, expected, n, command_id, entries, i)
      where c.i = any(stored)
    ), written as (
      insert into events (lane, position, stream_id, version, event_id, type, schema_version, occurred_at, recorded_at,
        actor, correlation_id, causation_id, command_id, trace_parent, data, previous_hash, hash)
      select p_lane, head.first_position + a.before + x.j - 1, a.stream_id, a.expected + x.j, x.event_id, x.type,
        x.schema_version, x.occurred_at, head.recorded_at, x.actor, x.correlation_id, x.causation_id, a.command_id,
        x.trace_parent, x.data, decode(x.previous_hash, 'hex'), decode(x.hash, 'hex')
      from accepted a
      cross join lateral rows from (jsonb_to_recordset(a.entries) as
        (i text, t text, s smallint, o bigint, a text, r text, u text, w text, d jsonb, p text, h text)) with ordinality
        as x(event_id, type, schema_version, occurred_at, actor, correlation_id, causation_id, trace_parent, data,
          previous_hash, hash, j)
      returning position, hash
    )
    select max(written.position), string_agg(written.hash, ''::bytea order by written.position)
      into head.last_position, event_hashes from written;

    head.hash := batch_hash(head, event_hashes);
    insert into batches select head.*;

    insert into orders
    select (row).*
    from (
      select jsonb_populate_record(null::orders, c.o) as row
      from rows from (jsonb_to_recordset(p_commands) as (o jsonb)) with ordinality as c(o, i)
      where c.i = any(stored) and c.o is not null
      offset 0
    ) rows
    on conflict (order_id) do update set
      exchange_order_id = excluded.exchange_order_id,
      status = excluded.status,
      certainty = excluded.certainty,
      cancel_requested = excluded.cancel_requested,
      cancel_refused = excluded.cancel_refused,
      filled_quantity = excluded.filled_quantity,
      filled_quote = excluded.filled_quote,
      average_price = excluded.average_price,
      fees = excluded.fees,
      fills = excluded.fills,
      reason_code = excluded.reason_code,
      reason_message = excluded.reason_message,
      parked = excluded.parked,
      attempt_number = excluded.attempt_number,
      attempt_timestamp = excluded.attempt_timestamp,
      attempt_recv_window_millis = excluded.attempt_recv_window_millis,
      attempt_started_at = excluded.attempt_started_at,
      attempt_state = excluded.attempt_state,
      next_attempt_at = excluded.next_attempt_at,
      stale_at = excluded.stale_at,
      due_at = excluded.due_at,
      updated_at = excluded.updated_at,
      version = excluded.version
    where orders.version < excluded.version;
  end if;

  others := '[]';
  if appended < jsonb_array_length(p_commands) then
    -- Only losers pay for the look-up. The hash covers the whole envelope, the command's id and the chain before it:
    -- where it stands at that version, these very events are stored.
    select jsonb_agg(jsonb_build_object('i', c.i, 'outcome', case when mine then 'duplicate' else 'conflict' end,
        'version', case when mine then c.expected + c.n else coalesce(s.version, 0) end) order by c.i)
      into others
      from rows from (jsonb_to_recordset(p_commands) as (s text, v integer, n integer, h text)) with ordinality
        as c(stream_id, expected, n, head_hash, i)
      cross join lateral (select exists (
        select from events e where e.stream_id = c.stream_id and e.version = c.expected + c.n
          and e.hash = decode(c.head_hash, 'hex')) as mine) d
      left join streams s on s.stream_id = c.stream_id
      where c.i <> all(stored);
  end if;
end $$;

revoke all on function append(smallint, text, jsonb) from public;
grant execute on function append(smallint, text, jsonb) to nexus_app;
grant select on streams, events, batches, orders, outbox to nexus_app;
