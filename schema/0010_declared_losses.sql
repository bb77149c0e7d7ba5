-- Commits that are missing, told by the process that found it to all the others. A failover that loses the last moments is
-- seen by whoever had seen them; the rest would go on from the shorter log and give out the lost positions again. So the finder
-- opens a recovery: whatever lives on the store ends, and nothing starts before `nexus recover` has finished it.

-- The process, and what it missed. Null: an operator began this one. `begun_by` is the process too, until an operator goes on.
alter table recoveries add column found_by text, add column found text;
comment on table recoveries is
  'Each run of nexus recover, or what one is to be run for. While one is not finished the store is not served.';

-- Opens a recovery if anything of this is missing: recoveries by their number and the generation, batches by their end and
-- hash, events by their place and id. Looking and opening are one call of one server, so an answer of another one, amid a
-- failover, opens nothing. `p_seen_at` is when all was there yet, by the server's clock: what was written later, perhaps without
-- what is missing, does not say how far back it is missing.
--
-- True: a recovery is open. False: all is there, or a recovery was begun or finished meanwhile.
--
-- Whoever may serve can stop the service with this, as it can by holding the lanes' locks; it can change nothing else.
create function declare_loss(
  p_node text, p_found text, p_generation integer, p_recoveries integer, p_seen_at bigint,
  p_batch_lanes smallint[], p_batch_positions bigint[], p_batch_hashes bytea[],
  p_event_lanes smallint[], p_event_positions bigint[], p_event_ids text[]
) returns boolean language plpgsql volatile security definer strict
  set search_path = public, pg_temp
as $$
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
end $$;

revoke all on function declare_loss(text, text, integer, integer, bigint, smallint[], bigint[], bytea[], smallint[],
  bigint[], text[]) from public;
grant execute on function declare_loss(text, text, integer, integer, bigint, smallint[], bigint[], bytea[], smallint[],
  bigint[], text[]) to nexus_app;
