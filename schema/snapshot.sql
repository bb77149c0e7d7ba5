-- What the numbered files of this folder add up to. Written by the test that compares it; not applied by anything.
-- After a change of the schema: npx vitest run --configLoader native test/sql/Migrations.snapshot -u

create table anchors (
  number bigint not null,
  anchored_at bigint not null,
  generation integer not null,
  heads jsonb not null,
  root bytea not null,
  key_id text not null,
  signature bytea not null,
  constraint anchors_number_check CHECK ((number > 0)),
  constraint anchors_pkey PRIMARY KEY (number)
);
comment on table anchors is 'Signed roots over all lanes: what finds a log that was rewritten or cut as a whole.';

create table api_keys (
  key_id text collate "C" not null,
  name text not null,
  secret_hash bytea not null,
  scopes text[] not null,
  created_at timestamp with time zone default clock_timestamp() not null,
  revoked_at timestamp with time zone,
  constraint api_keys_pkey PRIMARY KEY (key_id)
);
comment on table api_keys is 'Who may call the HTTP interface.';

create table batches (
  lane smallint not null,
  first_position bigint not null,
  last_position bigint not null,
  recorded_at bigint not null,
  node text collate "C" not null,
  orders_total bigint not null,
  orders_processing bigint not null,
  orders_completed bigint not null,
  orders_failed bigint not null,
  orders_cancelled bigint not null,
  previous_hash bytea not null,
  hash bytea not null,
  constraint batches_pkey PRIMARY KEY (lane, last_position)
);
comment on table batches is 'One row per append: the lane''s head, its chained hash, its clock and its totals. Insert-only, so no hot row.';
CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.batches FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
alter table batches enable always trigger append_only;

create table cursors (
  lane smallint not null,
  position bigint default 0 not null,
  epoch bigint default 0 not null,
  constraint cursors_pkey PRIMARY KEY (lane),
  constraint cursors_position_check CHECK (("position" >= 0))
) with (fillfactor=10);
comment on table cursors is 'How far the bus has each lane. With the log this is the whole outbox.';

create table doubts (
  order_id text collate "C" not null,
  attempt integer not null,
  asked integer not null,
  last_asked_at bigint not null,
  next_check_at bigint not null,
  evidence jsonb not null,
  constraint doubts_pkey PRIMARY KEY (order_id)
) with (fillfactor=75);
comment on table doubts is 'How far each attempt without a clear outcome has been asked about.';

create table events (
  lane smallint not null,
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
  previous_hash bytea not null,
  hash bytea not null,
  constraint events_pkey PRIMARY KEY (lane, "position"),
  constraint events_stream_id_version_key UNIQUE (stream_id, version)
) with (autovacuum_vacuum_insert_scale_factor=0.05);
comment on table events is 'What happened, for ever. Every other table about orders follows from this one.';
CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
alter table events enable always trigger append_only;

create table foreign_orders (
  symbol text collate "C" not null,
  exchange_order_id text collate "C" not null,
  client_order_id text not null,
  side text not null,
  type text not null,
  quantity numeric not null,
  executed numeric not null,
  status text not null,
  is_open boolean not null,
  since bigint not null,
  updated_at bigint not null,
  constraint foreign_orders_pkey PRIMARY KEY (symbol, exchange_order_id)
) with (fillfactor=75);
comment on table foreign_orders is 'Orders at the exchange, under our keys, that this store never sent. Listed, never touched.';
CREATE INDEX foreign_orders_by_age ON public.foreign_orders USING btree (is_open, updated_at);

create table generations (
  generation integer not null,
  lane smallint not null,
  first_position bigint not null,
  constraint generations_first_position_check CHECK ((first_position > 0)),
  constraint generations_generation_check CHECK ((generation > 1)),
  constraint generations_pkey PRIMARY KEY (generation, lane)
);
comment on table generations is 'Where each generation after the first begins, by lane. No rows: no commit was ever lost.';

create table instruments (
  version integer not null,
  taken_at bigint not null,
  checked_at bigint not null,
  content jsonb not null,
  content_hash bytea not null,
  constraint instruments_pkey PRIMARY KEY (version),
  constraint instruments_version_check CHECK ((version > 0))
);
comment on table instruments is 'What the exchange said of its symbols and filters, a row per change. Events name the version they used.';

create table leases (
  role text collate "C" not null,
  owner text collate "C",
  epoch bigint default 0 not null,
  expires_at timestamp with time zone default '-infinity'::timestamp with time zone not null,
  constraint leases_pkey PRIMARY KEY (role)
) with (fillfactor=10);
comment on table leases is 'Who owns which single work, and until when. Only PostgreSQL''s clock is asked.';

create table limit_shares (
  name text collate "C" not null,
  window_number bigint not null,
  replica text collate "C" not null,
  held bigint not null,
  turn bigint not null,
  seen_at timestamp with time zone not null,
  constraint limit_shares_held_check CHECK ((held >= 0)),
  constraint limit_shares_name_window_number_fkey FOREIGN KEY (name, window_number) REFERENCES limits(name, window_number) ON DELETE CASCADE,
  constraint limit_shares_pkey PRIMARY KEY (name, window_number, replica)
) with (fillfactor=10);
comment on table limit_shares is 'What each replica may still spend of a window. The share of a dead one ends with the window.';

create table limit_stops (
  scope text collate "C" not null,
  until timestamp with time zone not null,
  constraint limit_stops_pkey PRIMARY KEY (scope),
  constraint limit_stops_scope_check CHECK ((scope = ANY (ARRAY['all'::text, 'orders'::text])))
);
comment on table limit_stops is 'Until when the exchange wants to hear nothing of us.';

create table limits (
  name text collate "C" not null,
  window_number bigint not null,
  allowed bigint default 0 not null,
  counted bigint default 0 not null,
  counted_from bigint default 0 not null,
  counted_at bigint default 0 not null,
  constraint limits_allowed_check CHECK ((allowed >= 0)),
  constraint limits_counted_check CHECK ((counted >= 0)),
  constraint limits_pkey PRIMARY KEY (name, window_number)
) with (fillfactor=10);
comment on table limits is 'Windows of the exchange''s request limits, as counted by the exchange.';

create table orders (
  order_id text collate "C" not null,
  client_order_id text collate "C" not null,
  exchange_order_id text,
  symbol text not null,
  side text not null,
  type text not null,
  time_in_force text,
  quantity numeric,
  quote_quantity numeric,
  price numeric,
  valid_until bigint,
  status text collate "C" not null,
  certainty text collate "C" not null,
  cancel_requested boolean not null,
  cancel_refused boolean not null,
  filled_quantity numeric not null,
  filled_quote numeric not null,
  average_price numeric,
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
  due_at bigint,
  placed_at bigint not null,
  updated_at bigint not null,
  lane smallint not null,
  version integer not null,
  stop_price numeric,
  iceberg_quantity numeric,
  self_trade_prevention text,
  constraint orders_client_order_id_key UNIQUE (client_order_id),
  constraint orders_pkey PRIMARY KEY (order_id),
  constraint orders_status_check CHECK ((status = ANY (ARRAY['PENDING'::text, 'EXECUTING'::text, 'COMPLETED'::text, 'FAILED'::text, 'CANCELLED'::text])))
) with (fillfactor=75);
comment on table orders is 'The blotter: each order as the fold of its events. Derived; may be dropped and rebuilt.';
CREATE INDEX orders_by_status ON public.orders USING btree (status, placed_at, order_id);
CREATE INDEX orders_cancel_unanswered ON public.orders USING btree (order_id) WHERE ((status = 'EXECUTING'::text) AND (attempt_state = 'ACCEPTED'::text) AND cancel_requested AND (NOT cancel_refused));
CREATE INDEX orders_due ON public.orders USING btree (due_at, order_id) WHERE (due_at IS NOT NULL);
CREATE INDEX orders_imported ON public.orders USING btree (order_id) WHERE (order_id = client_order_id);
CREATE INDEX orders_in_doubt ON public.orders USING btree (order_id) WHERE ((status = 'EXECUTING'::text) AND (attempt_state = ANY (ARRAY['STARTED'::text, 'UNKNOWN'::text])));
CREATE INDEX orders_open ON public.orders USING btree (order_id) WHERE ((status = 'EXECUTING'::text) AND (attempt_state = 'ACCEPTED'::text));
CREATE INDEX orders_parked ON public.orders USING btree (order_id) WHERE parked;

create table parked (
  consumer text collate "C" not null,
  lane smallint not null,
  position bigint not null,
  stream_id text collate "C" not null,
  reason text not null,
  record text not null,
  parked_at timestamp with time zone default clock_timestamp() not null,
  constraint parked_pkey PRIMARY KEY (consumer, lane, "position")
);
comment on table parked is 'Records that could not be sent or handled. The order waits for an operator, its lane goes on.';

create table reconciliation (
  only_row boolean default true not null,
  reported_at bigint not null,
  content jsonb not null,
  constraint reconciliation_only_row_check CHECK (only_row),
  constraint reconciliation_pkey PRIMARY KEY (only_row)
) with (fillfactor=10);
comment on table reconciliation is 'What the last comparison of open orders with the exchange has shown.';

create table recoveries (
  number integer not null,
  begun_at timestamp with time zone default clock_timestamp() not null,
  begun_by text not null,
  reason text not null,
  heads bigint[] not null,
  log_ended_at bigint not null,
  known bigint[],
  generation integer,
  finished_at timestamp with time zone,
  imported jsonb,
  found_by text,
  found text,
  constraint recoveries_number_check CHECK ((number > 0)),
  constraint recoveries_pkey PRIMARY KEY (number)
);
comment on table recoveries is 'Each run of nexus recover, or what one is to be run for. While one is not finished the store is not served.';

create table replicas (
  id text collate "C" not null,
  roles text[] not null,
  seen_at timestamp with time zone not null,
  constraint replicas_pkey PRIMARY KEY (id)
) with (fillfactor=10);
comment on table replicas is 'Which processes live, and which roles each of them runs.';

create table schema_migrations (
  file text collate "C" not null,
  checksum text not null,
  applied_at timestamp with time zone default clock_timestamp() not null,
  constraint schema_migrations_pkey PRIMARY KEY (file)
);
comment on table schema_migrations is NULL;

create table store (
  only_row boolean default true not null,
  store_id uuid,
  generation integer default 1 not null,
  exchange text,
  account_uid text,
  lanes smallint not null,
  opened_at timestamp with time zone,
  constraint store_check CHECK (((store_id IS NULL) = (exchange IS NULL))),
  constraint store_check1 CHECK (((account_uid IS NULL) OR (store_id IS NOT NULL))),
  constraint store_exchange_check CHECK ((exchange = ANY (ARRAY['SIMULATOR'::text, 'TESTNET'::text]))),
  constraint store_generation_check CHECK ((generation > 0)),
  constraint store_lanes_check CHECK (((lanes >= 1) AND (lanes <= 256))),
  constraint store_only_row_check CHECK (only_row),
  constraint store_pkey PRIMARY KEY (only_row)
);
comment on table store is 'Whose log this is. A start against another exchange or account is refused.';
CREATE TRIGGER keep_store BEFORE UPDATE ON public.store FOR EACH ROW EXECUTE FUNCTION keep_store();
alter table store enable always trigger keep_store;

create table streams (
  stream_id text collate "C" not null,
  lane smallint not null,
  version integer not null,
  head_hash bytea not null,
  request_hash bytea not null,
  constraint streams_pkey PRIMARY KEY (stream_id),
  constraint streams_version_check CHECK ((version > 0))
) with (fillfactor=75);
comment on table streams is 'One row per order, and one for the account: where its stream ends.';
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON public.streams FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
alter table streams enable always trigger append_only;

create view outbox as
 SELECT events.lane,
    events."position",
    events.stream_id,
    events.version,
    events.event_id,
    events.type,
    events.schema_version,
    events.occurred_at,
    events.recorded_at,
    events.actor,
    events.correlation_id,
    events.causation_id,
    events.command_id,
    events.trace_parent,
    events.data,
    events.previous_hash,
    events.hash
   FROM cursors
     JOIN events ON events.lane = cursors.lane AND events."position" > cursors."position";

CREATE OR REPLACE FUNCTION public.append(p_lane smallint, p_node text, p_commands jsonb, OUT appended integer, OUT others jsonb)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.append_lanes(p_node text, p_lanes smallint[], p_commands append_command[], p_event_lanes smallint[], p_events append_event[], p_order_lanes smallint[], p_orders append_order[], OUT appended integer, OUT others jsonb)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.append_rows(p_lane smallint, p_node text, p_commands append_command[], p_events append_event[], p_orders append_order[], OUT appended integer, OUT others jsonb)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.batch_hash(b batches, event_hashes bytea)
 RETURNS bytea
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select sha256(
    b.previous_hash || int4send(b.lane) || int8send(b.first_position) || int8send(b.last_position) ||
    int8send(b.recorded_at) || int4send(octet_length(b.node)) || convert_to(b.node, 'UTF8') ||
    int8send(b.orders_total) || int8send(b.orders_processing) || int8send(b.orders_completed) ||
    int8send(b.orders_failed) || int8send(b.orders_cancelled) || event_hashes)
$function$;

CREATE OR REPLACE FUNCTION public.declare_loss(p_node text, p_found text, p_generation integer, p_recoveries integer, p_seen_at bigint, p_batch_lanes smallint[], p_batch_positions bigint[], p_batch_hashes bytea[], p_event_lanes smallint[], p_event_positions bigint[], p_event_ids text[])
 RETURNS boolean
 LANGUAGE plpgsql
 STRICT SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  now_generation constant integer := (select generation from store);
  now_recoveries constant integer := (select count(*) from recoveries);
  -- Printed on an operator's terminal.
  node constant text := left(regexp_replace(p_node, '[[:cntrl:]]', '', 'g'), 100);
  found_words constant text := left(regexp_replace(p_found, '[[:cntrl:]]', '', 'g'), 200);
begin
  if now_generation > p_generation or now_recoveries > p_recoveries then
    return false;
  end if;
  if now_generation = p_generation and now_recoveries = p_recoveries and not exists (
    select from unnest(p_batch_lanes, p_batch_positions, p_batch_hashes) as seen(lane, position, hash)
      where not exists (select from batches b
        where b.lane = seen.lane and b.last_position = seen.position and b.hash = seen.hash)
  ) and not exists (
    select from unnest(p_event_lanes, p_event_positions, p_event_ids) as given(lane, position, id)
      where not exists (select from events e
        where e.lane = given.lane and e.position = given.position and e.event_id = given.id)
  ) then
    return false;
  end if;

  -- Of two that find it at once one opens the recovery: numbers are dense, and both have counted before either wrote.
  insert into recoveries (number, begun_by, reason, heads, log_ended_at, found_by, found)
    select now_recoveries + 1, node, found_words,
        array_agg(coalesce(b.last_position, 0) order by l.lane),
        coalesce(max(older.recorded_at), least(p_seen_at,
          (select floor(extract(epoch from coalesce(opened_at, clock_timestamp())) * 1000)::bigint from store))),
        node, found_words
      from generate_series(0, (select lanes - 1 from store)) as l(lane)
      left join lateral (select last_position from batches where batches.lane = l.lane
        order by last_position desc limit 1) b on true
      left join lateral (select recorded_at from batches where batches.lane = l.lane and recorded_at <= p_seen_at
        order by last_position desc limit 1) older on true
    on conflict do nothing;
  return exists (select from recoveries where finished_at is null);
end $function$;

CREATE OR REPLACE FUNCTION public.keep_store()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if new.store_id is distinct from coalesce(old.store_id, new.store_id)
    or new.exchange is distinct from coalesce(old.exchange, new.exchange)
    or new.account_uid is distinct from coalesce(old.account_uid, new.account_uid)
    or new.lanes <> old.lanes or new.generation < old.generation then
    raise exception 'a store belongs to one exchange and one account for ever' using errcode = 'insufficient_privilege';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION public.limit_share_life()
 RETURNS interval
 LANGUAGE sql
 IMMUTABLE
AS $function$ select interval '60 seconds' $function$;

CREATE OR REPLACE FUNCTION public.refuse_change()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  raise exception '% of % is refused: it is append-only', tg_op, tg_table_name using errcode = 'insufficient_privilege';
end $function$;

CREATE OR REPLACE FUNCTION public.take_shares(me text, my_turn bigint, asks jsonb)
 RETURNS TABLE(name text, window_number bigint, granted bigint, allowed bigint, counted bigint, counted_from bigint, counted_at bigint, others bigint)
 LANGUAGE plpgsql
AS $function$
#variable_conflict use_column
declare
  ask jsonb;
  want jsonb;
  row_now limits;
  told bigint;
  told_from bigint;
  told_at bigint;
  used bigint;
  extra bigint;
  held_by_others bigint;
begin
  -- Losing the last moments of it in a crash costs a refusal by the exchange at most; a flush per report costs more.
  perform set_config('synchronous_commit', 'off', true);
  for ask in select a from jsonb_array_elements(asks) as a order by a ->> 'name' collate "C", (a ->> 'window')::bigint loop
    told := coalesce((ask #>> '{told,count}')::bigint, 0);
    told_from := coalesce((ask #>> '{told,from}')::bigint, -1);
    told_at := coalesce((ask #>> '{told,at}')::bigint, 0);
    -- Locks the window. A count whose request came after the answer of the known one replaces it; of two that were
    -- under way together the greater holds, for answers overtake each other.
    insert into limits as l (name, window_number, allowed, counted, counted_from, counted_at)
      values (ask ->> 'name', (ask ->> 'window')::bigint, coalesce((ask ->> 'allowed')::bigint, 0), told, greatest(told_from, 0), told_at)
      on conflict (name, window_number) do update set
        allowed = case when excluded.allowed > 0 then excluded.allowed else l.allowed end,
        counted = case when told_from > l.counted_at or told > l.counted then told else l.counted end,
        counted_from = case when told_from > l.counted_at or told > l.counted then greatest(told_from, 0) else l.counted_from end,
        counted_at = case when told_from > l.counted_at or told > l.counted then told_at else l.counted_at end
      returning l.* into row_now;
    select coalesce(sum(s.held), 0) into held_by_others from limit_shares s
      where s.name = row_now.name and s.window_number = row_now.window_number and s.replica <> me
        and s.seen_at > clock_timestamp() - limit_share_life();
    used := row_now.counted + held_by_others + (ask ->> 'keep')::bigint;
    extra := 0;
    for want in select w from jsonb_array_elements(ask -> 'wants') as w loop
      extra := extra + greatest(0, least((want ->> 'amount')::bigint, (want ->> 'ceiling')::bigint - used - extra));
    end loop;
    insert into limit_shares as s (name, window_number, replica, held, turn, seen_at)
      values (row_now.name, row_now.window_number, me, (ask ->> 'keep')::bigint + extra, my_turn, clock_timestamp())
      on conflict (name, window_number, replica) do update
        set held = excluded.held, turn = excluded.turn, seen_at = excluded.seen_at where s.turn < excluded.turn;
    if not found then extra := 0; end if;
    -- A replica's clock may be a moment behind, hence not the window just before.
    delete from limits where (name, window_number) in (
      select d.name, d.window_number from limits d
        where d.name = row_now.name and d.window_number < row_now.window_number - 2 for update skip locked);
    return query select row_now.name, row_now.window_number, extra, row_now.allowed, row_now.counted, row_now.counted_from,
      row_now.counted_at, held_by_others;
  end loop;
end $function$;

grant insert, select on anchors to nexus_app;
grant select on api_keys to nexus_app;
grant select on batches to nexus_app;
grant select, update (epoch, position) on cursors to nexus_app;
grant delete, insert, select, update on doubts to nexus_app;
grant select on events to nexus_app;
grant delete, insert, select, update on foreign_orders to nexus_app;
grant execute on function append(smallint,text,jsonb) to nexus_app;
grant execute on function append_lanes(text,smallint[],append_command[],smallint[],append_event[],smallint[],append_order[]) to nexus_app;
grant execute on function append_rows(smallint,text,append_command[],append_event[],append_order[]) to nexus_app;
grant execute on function batch_hash(batches,bytea) to public;
grant execute on function declare_loss(text,text,integer,integer,bigint,smallint[],bigint[],bytea[],smallint[],bigint[],text[]) to nexus_app;
grant execute on function keep_store() to public;
grant execute on function limit_share_life() to nexus_app;
grant execute on function refuse_change() to public;
grant execute on function take_shares(text,bigint,jsonb) to nexus_app;
grant select on generations to nexus_app;
grant insert, select, update (checked_at) on instruments to nexus_app;
grant select, update (epoch, expires_at, owner) on leases to nexus_app;
grant delete, insert, select, update on limit_shares to nexus_app;
grant insert, select, update on limit_stops to nexus_app;
grant delete, insert, select, update on limits to nexus_app;
grant select on orders to nexus_app;
grant select on outbox to nexus_app;
grant insert, select on parked to nexus_app;
grant delete, insert, select, update on reconciliation to nexus_app;
grant select on recoveries to nexus_app;
grant delete, insert, select, update on replicas to nexus_app;
grant usage on schema public to nexus_app;
grant select on schema_migrations to nexus_app;
grant select, update (account_uid, exchange, opened_at, store_id) on store to nexus_app;
grant select on streams to nexus_app;
