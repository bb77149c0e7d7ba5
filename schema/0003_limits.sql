-- The exchange's request budget and its bans, shared by the replicas of this store: the exchange counts them together.
--
-- A replica takes shares of a window in advance and spends them without asking again. What is handed out, what the
-- exchange has counted and what is asked for never exceed the limit: the row of the window is the lock for that.
-- Windows are numbered on the exchange's clock; PostgreSQL's own says only how long a ban lasts and who is gone.

drop table limits;

create table limits (
  -- What is limited, and over how many milliseconds: REQUEST_WEIGHT/60000
  name text collate "C" not null,
  -- Since 1970, on the exchange's clock.
  window_number bigint not null,
  -- What the exchange allows, as a replica has learnt; 0: none has.
  allowed bigint not null default 0 check (allowed >= 0),
  -- The exchange's own count; when its request was permitted and answered, in milliseconds on the exchange's clock.
  counted bigint not null default 0 check (counted >= 0),
  counted_from bigint not null default 0,
  counted_at bigint not null default 0,
  primary key (name, window_number)
) with (fillfactor = 10);
comment on table limits is 'Windows of the exchange''s request limits, as counted by the exchange.';

create table limit_shares (
  name text collate "C" not null,
  window_number bigint not null,
  replica text collate "C" not null,
  -- Handed to the replica and not yet in the exchange's count: unspent, in flight, or in doubt.
  held bigint not null check (held >= 0),
  -- Of the replica's reports, so that a late one changes nothing.
  turn bigint not null,
  seen_at timestamptz not null,
  primary key (name, window_number, replica),
  foreign key (name, window_number) references limits on delete cascade
) with (fillfactor = 10);
comment on table limit_shares is 'What each replica may still spend of a window. The share of a dead one ends with the window.';

create table limit_stops (
  -- all: nothing may be sent. orders: no new orders.
  scope text collate "C" primary key check (scope in ('all', 'orders')),
  until timestamptz not null
);
comment on table limit_stops is 'Until when the exchange wants to hear nothing of us.';

-- Longer than a replica trusts its share without an answer, plus the longest that a request may be under way.
create function limit_share_life() returns interval language sql immutable as $$ select interval '60 seconds' $$;

-- One replica's report and its shares. `asks`: an array of {name, window, allowed | null, told: {count, from, at} | null, keep,
-- wants: [{ceiling, amount}, ...]}, wants by precedence; in the order of names, so that no two replicas wait for each other.
create function take_shares(me text, my_turn bigint, asks jsonb)
  returns table (name text, window_number bigint, granted bigint, allowed bigint, counted bigint, counted_from bigint, counted_at bigint, others bigint)
  language plpgsql as $$
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
end $$;

grant select, insert, update, delete on limits to nexus_app;
grant select, insert, update, delete on limit_shares to nexus_app;
grant select, insert, update on limit_stops to nexus_app;
revoke execute on function limit_share_life(), take_shares(text, bigint, jsonb) from public;
grant execute on function limit_share_life(), take_shares(text, bigint, jsonb) to nexus_app;
