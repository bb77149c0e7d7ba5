-- The append, given rows instead of JSON: reading JSON was more than a third of what an order cost here.
--
-- The rows have types of their own, so that a table may grow without changing what this release sends; a
-- release that sends more brings types and a function of another name. `append`, which the release before this one
-- calls, stays for that release's sake.

-- What one command decided about its stream.
create type append_command as (
  stream_id text,
  -- Version that the stream must have; 0: it must not exist.
  expected integer,
  count integer,
  -- Heads of the stream before and after.
  previous_hash bytea,
  head_hash bytea,
  request_hash bytea,
  -- Status of the order before and after; null for none.
  before text,
  after text
);

-- An event as the writer decides it; the lane gives it its place and its hour.
create type append_event as (
  stream_id text,
  version integer,
  event_id text,
  type text,
  schema_version smallint,
  occurred_at bigint,
  actor text,
  correlation_id text,
  causation_id text,
  command_id text,
  trace_parent text,
  data jsonb,
  previous_hash bytea,
  hash bytea
);

-- The order's row of the blotter; its lane is that of the call.
create type append_order as (
  order_id text,
  client_order_id text,
  exchange_order_id text,
  symbol text,
  side text,
  type text,
  time_in_force text,
  quantity numeric,
  quote_quantity numeric,
  price numeric,
  valid_until bigint,
  stop_price numeric,
  iceberg_quantity numeric,
  self_trade_prevention text,
  status text,
  certainty text,
  cancel_requested boolean,
  cancel_refused boolean,
  filled_quantity numeric,
  filled_quote numeric,
  average_price numeric,
  fees jsonb,
  fills jsonb,
  reason_code text,
  reason_message text,
  parked boolean,
  attempt_number integer,
  attempt_timestamp bigint,
  attempt_recv_window_millis integer,
  attempt_started_at bigint,
  attempt_state text,
  next_attempt_at bigint,
  stale_at bigint,
  due_at bigint,
  placed_at bigint,
  updated_at bigint,
  version integer
);

-- Appends what 1 to 256 commands decided, each on a stream of its own, all in one lane. A command is stored
-- whole or not at all; the others do not depend on it. `p_events` are in the order of the commands.
--
--   appended   how many were stored
--   others     [{"i": index from 1, "outcome": "duplicate" | "conflict", "version": …}] for the rest. duplicate:
--              these very events stand in the log already (the answer to the first call was lost);
--              version is where they end. conflict: the stream is elsewhere; version is where (0: it is not).
--
-- The lane lock comes first, so no deadlock is possible, and it is held until the commit is visible: positions
-- are dense and in commit order. The lane's head is read by a statement of its own, whose snapshot is
-- younger than the lock; under REPEATABLE READ it would not be, hence the check. Streams that exist are probed one
-- by one by primary key: a join over the whole batch is faster at its best and changes plan on a young table.
-- There is no NOTIFY here: it would put all commits of the database into one line.
create function append_rows(
  p_lane smallint, p_node text, p_commands append_command[], p_events append_event[], p_orders append_order[],
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
  command append_command;
  -- Streams whose commands were stored.
  stored text[];
  is_whole boolean;
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
  head.previous_hash := coalesce(head.hash, ''::bytea);

  with begun as (
    insert into streams (stream_id, lane, version, head_hash, request_hash)
    select c.stream_id, p_lane, c.count, c.head_hash, coalesce(c.request_hash, ''::bytea)
    from unnest(p_commands) c where c.expected = 0
    on conflict do nothing
    returning stream_id
  )
  select coalesce(array_agg(stream_id), '{}') into stored from begun;
  if cardinality(stored) < cardinality(p_commands) then
    for command in select * from unnest(p_commands) c where c.expected > 0 loop
      update streams set version = command.expected + command.count, head_hash = command.head_hash
        where stream_id = command.stream_id and version = command.expected and lane = p_lane
          and head_hash = command.previous_hash;
      if found then
        stored := stored || command.stream_id;
      end if;
    end loop;
  end if;
  appended := cardinality(stored);
  is_whole := appended = cardinality(p_commands);

  if appended > 0 then
    -- The version check makes the writer's word about the order's status true.
    select
      coalesce(head.orders_total, 0) + count(*) filter (where c.before is null and c.after is not null),
      coalesce(head.orders_processing, 0) + count(*) filter (where c.after in ('PENDING', 'EXECUTING'))
        - count(*) filter (where c.before in ('PENDING', 'EXECUTING')),
      coalesce(head.orders_completed, 0) + count(*) filter (where c.after = 'COMPLETED')
        - count(*) filter (where c.before = 'COMPLETED'),
      coalesce(head.orders_failed, 0) + count(*) filter (where c.after = 'FAILED')
        - count(*) filter (where c.before = 'FAILED'),
      coalesce(head.orders_cancelled, 0) + count(*) filter (where c.after = 'CANCELLED')
        - count(*) filter (where c.before = 'CANCELLED')
      into head.orders_total, head.orders_processing, head.orders_completed, head.orders_failed, head.orders_cancelled
      from unnest(p_commands) c where is_whole or c.stream_id = any(stored);

    with written as (
      insert into events (lane, position, stream_id, version, event_id, type, schema_version, occurred_at, recorded_at,
        actor, correlation_id, causation_id, command_id, trace_parent, data, previous_hash, hash)
      select p_lane, head.first_position - 1 + row_number() over (order by e.ordinality), e.stream_id, e.version,
        e.event_id, e.type, e.schema_version, e.occurred_at, head.recorded_at, e.actor, e.correlation_id,
        e.causation_id, e.command_id, e.trace_parent, e.data, e.previous_hash, e.hash
      from unnest(p_events) with ordinality e
      where is_whole or e.stream_id = any(stored)
      returning position, hash
    )
    select max(written.position), string_agg(written.hash, ''::bytea order by written.position)
      into head.last_position, event_hashes from written;

    head.hash := batch_hash(head, event_hashes);
    insert into batches select head.*;

    insert into orders (order_id, client_order_id, exchange_order_id, symbol, side, type, time_in_force, quantity,
      quote_quantity, price, valid_until, stop_price, iceberg_quantity, self_trade_prevention, status, certainty,
      cancel_requested, cancel_refused, filled_quantity, filled_quote, average_price, fees, fills, reason_code,
      reason_message, parked, attempt_number, attempt_timestamp, attempt_recv_window_millis, attempt_started_at,
      attempt_state, next_attempt_at, stale_at, due_at, placed_at, updated_at, lane, version)
    select o.order_id, o.client_order_id, o.exchange_order_id, o.symbol, o.side, o.type, o.time_in_force, o.quantity,
      o.quote_quantity, o.price, o.valid_until, o.stop_price, o.iceberg_quantity, o.self_trade_prevention, o.status,
      o.certainty, o.cancel_requested, o.cancel_refused, o.filled_quantity, o.filled_quote, o.average_price, o.fees,
      o.fills, o.reason_code, o.reason_message, o.parked, o.attempt_number, o.attempt_timestamp,
      o.attempt_recv_window_millis, o.attempt_started_at, o.attempt_state, o.next_attempt_at, o.stale_at, o.due_at,
      o.placed_at, o.updated_at, p_lane, o.version
    from unnest(p_orders) o
    where is_whole or o.order_id = any(stored)
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
  if not is_whole then
    -- Only losers pay for the look-up. The hash covers the whole envelope, the command's id and the chain before it:
    -- where it stands at that version, these very events are stored.
    select jsonb_agg(jsonb_build_object('i', c.ordinality, 'outcome', case when mine then 'duplicate' else 'conflict' end,
        'version', case when mine then c.expected + c.count else coalesce(s.version, 0) end) order by c.ordinality)
      into others
      from unnest(p_commands) with ordinality c
      cross join lateral (select exists (
        select from events e where e.stream_id = c.stream_id and e.version = c.expected + c.count
          and e.hash = c.head_hash) as mine) d
      left join streams s on s.stream_id = c.stream_id
      where c.stream_id <> all(stored);
  end if;
end $$;

revoke all on function append_rows(smallint, text, append_command[], append_event[], append_order[]) from public;
grant execute on function append_rows(smallint, text, append_command[], append_event[], append_order[]) to nexus_app;
