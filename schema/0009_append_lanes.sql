-- The append for several lanes at once: one call, one flush and one answer for all that waits, whatever its lane.
-- What a call costs by itself was a third of what an order cost here.
--
-- Each lane keeps its own batch, lock, positions, clock and totals, as `append_rows` writes them. That function
-- stays for the release before this one, which calls it; the two may be mixed, for both go by the lane locks.

-- Appends what 1 to 256 commands decided, each on a stream of its own. A command is stored whole or not at all; the
-- others do not depend on it. `p_lanes`, `p_event_lanes` and `p_order_lanes` say the lane of each command, event and
-- order; `p_lanes` ascends, and `p_events` are in the order of the commands.
--
--   appended   how many were stored
--   others     [{"i": index from 1, "outcome": "duplicate" | "conflict", "version": …}] for the rest. duplicate:
--              these very events stand in the log already (the answer to the first call was lost);
--              version is where they end. conflict: the stream is elsewhere; version is where (0: it is not).
--
-- The lane locks come first and in ascending order, so no deadlock is possible, and they are held until the commit is
-- visible: positions are dense and in commit order. The lanes' heads are read by a statement of its own, whose snapshot
-- is younger than the locks; under REPEATABLE READ it would not be, hence the check. Streams that exist are probed one
-- by one by primary key: a join over the whole call is faster at its best and changes plan on a young table.
-- There is no NOTIFY here: it would put all commits of the database into one line.
create function append_lanes(
  p_node text, p_lanes smallint[], p_commands append_command[], p_event_lanes smallint[], p_events append_event[],
  p_order_lanes smallint[], p_orders append_order[],
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
  lane smallint;
  -- The lanes of the call, each once, ascending.
  lanes smallint[] := '{}';
  command record;
  -- Streams whose commands were stored.
  stored text[];
  is_whole boolean;
begin
  -- Poolers drop the startup option that makes a serving connection `nexus_app`.
  if coalesce(nullif(current_setting('role'), 'none'), session_user) <> 'nexus_app' then
    raise exception 'appends are for connections of the role nexus_app, this one is %', session_user
      using errcode = 'insufficient_privilege';
  end if;
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'appends need READ COMMITTED';
  end if;
  if cardinality(p_lanes) <> cardinality(p_commands) or cardinality(p_event_lanes) <> cardinality(p_events)
    or cardinality(p_order_lanes) <> cardinality(p_orders) then
    raise exception 'each command, event and order needs its lane' using errcode = 'invalid_parameter_value';
  end if;

  foreach lane in array p_lanes loop
    if lane > lanes[cardinality(lanes)] or cardinality(lanes) = 0 then
      perform pg_advisory_xact_lock(lane_locks, lane);
      lanes := lanes || lane;
    elsif lane is distinct from lanes[cardinality(lanes)] then
      raise exception 'the lanes of an append must ascend' using errcode = 'invalid_parameter_value';
    end if;
  end loop;
  -- What has a lane of which no lock is held would be lost, while its stream moves on.
  if not (p_event_lanes <@ lanes and p_order_lanes <@ lanes) then
    raise exception 'an event or order has no command on its lane' using errcode = 'invalid_parameter_value';
  end if;

  with begun as (
    insert into streams (stream_id, lane, version, head_hash, request_hash)
    select c.stream_id, c.lane, c.count, c.head_hash, coalesce(c.request_hash, ''::bytea)
    from rows from (unnest(p_lanes), unnest(p_commands))
      as c(lane, stream_id, expected, count, previous_hash, head_hash, request_hash, before, after)
    where c.expected = 0
    on conflict do nothing
    returning stream_id
  )
  select coalesce(array_agg(stream_id), '{}') into stored from begun;
  if cardinality(stored) < cardinality(p_commands) then
    for command in
      select * from rows from (unnest(p_lanes), unnest(p_commands))
        as c(lane, stream_id, expected, count, previous_hash, head_hash, request_hash, before, after)
      where c.expected > 0
    loop
      update streams set version = command.expected + command.count, head_hash = command.head_hash
        where stream_id = command.stream_id and version = command.expected and streams.lane = command.lane
          and head_hash = command.previous_hash;
      if found then
        stored := stored || command.stream_id;
      end if;
    end loop;
  end if;
  appended := cardinality(stored);
  is_whole := appended = cardinality(p_commands);

  if appended > 0 then
    with head as materialized (
      select l.lane, coalesce(b.last_position, 0) as last_position,
        greatest(coalesce(b.recorded_at, 0), floor(extract(epoch from clock_timestamp()) * 1000)::bigint) as recorded_at,
        coalesce(b.orders_total, 0) as total, coalesce(b.orders_processing, 0) as processing,
        coalesce(b.orders_completed, 0) as completed, coalesce(b.orders_failed, 0) as failed,
        coalesce(b.orders_cancelled, 0) as cancelled, coalesce(b.hash, ''::bytea) as hash
      from unnest(lanes) l(lane)
      left join lateral (
        select * from batches where batches.lane = l.lane order by batches.last_position desc limit 1
      ) b on true
    ),
    written as (
      insert into events (lane, position, stream_id, version, event_id, type, schema_version, occurred_at, recorded_at,
        actor, correlation_id, causation_id, command_id, trace_parent, data, previous_hash, hash)
      select e.lane, head.last_position + row_number() over (partition by e.lane order by e.ordinality), e.stream_id,
        e.version, e.event_id, e.type, e.schema_version, e.occurred_at, head.recorded_at, e.actor, e.correlation_id,
        e.causation_id, e.command_id, e.trace_parent, e.data, e.previous_hash, e.hash
      from rows from (unnest(p_event_lanes), unnest(p_events)) with ordinality
        as e(lane, stream_id, version, event_id, type, schema_version, occurred_at, actor, correlation_id, causation_id,
          command_id, trace_parent, data, previous_hash, hash, ordinality)
      join head on head.lane = e.lane
      where is_whole or e.stream_id = any(stored)
      returning events.lane, position, hash
    ),
    said as (
      select written.lane, max(position) as last_position, string_agg(hash, ''::bytea order by position) as hashes
      from written group by written.lane
    ),
    -- The version check makes the writer's word about the order's status true.
    moved as (
      select c.lane,
        count(*) filter (where c.before is null and c.after is not null) as total,
        count(*) filter (where c.after in ('PENDING', 'EXECUTING'))
          - count(*) filter (where c.before in ('PENDING', 'EXECUTING')) as processing,
        count(*) filter (where c.after = 'COMPLETED') - count(*) filter (where c.before = 'COMPLETED') as completed,
        count(*) filter (where c.after = 'FAILED') - count(*) filter (where c.before = 'FAILED') as failed,
        count(*) filter (where c.after = 'CANCELLED') - count(*) filter (where c.before = 'CANCELLED') as cancelled
      from rows from (unnest(p_lanes), unnest(p_commands))
        as c(lane, stream_id, expected, count, previous_hash, head_hash, request_hash, before, after)
      where is_whole or c.stream_id = any(stored)
      group by c.lane
    ),
    batch as (
      select row(head.lane, head.last_position + 1, said.last_position, head.recorded_at, p_node,
          head.total + moved.total, head.processing + moved.processing, head.completed + moved.completed,
          head.failed + moved.failed, head.cancelled + moved.cancelled, head.hash, null)::batches as b, said.hashes
      from head
      join said on said.lane = head.lane
      join moved on moved.lane = head.lane
    )
    insert into batches (lane, first_position, last_position, recorded_at, node, orders_total, orders_processing,
      orders_completed, orders_failed, orders_cancelled, previous_hash, hash)
    select (b).lane, (b).first_position, (b).last_position, (b).recorded_at, (b).node, (b).orders_total,
      (b).orders_processing, (b).orders_completed, (b).orders_failed, (b).orders_cancelled, (b).previous_hash,
      batch_hash(b, hashes)
    from batch;

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
      o.placed_at, o.updated_at, o.lane, o.version
    from rows from (unnest(p_order_lanes), unnest(p_orders))
      as o(lane, order_id, client_order_id, exchange_order_id, symbol, side, type, time_in_force, quantity,
        quote_quantity, price, valid_until, stop_price, iceberg_quantity, self_trade_prevention, status, certainty,
        cancel_requested, cancel_refused, filled_quantity, filled_quote, average_price, fees, fills, reason_code,
        reason_message, parked, attempt_number, attempt_timestamp, attempt_recv_window_millis, attempt_started_at,
        attempt_state, next_attempt_at, stale_at, due_at, placed_at, updated_at, version)
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

revoke all on function append_lanes(text, smallint[], append_command[], smallint[], append_event[], smallint[],
  append_order[]) from public;
grant execute on function append_lanes(text, smallint[], append_command[], smallint[], append_event[], smallint[],
  append_order[]) to nexus_app;
