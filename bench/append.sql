-- One order as a client of PostgreSQL would write it down without Nexus: a plain transaction with the stream
-- head, one event and the blotter row, in tables and indexes like ours (bench/pgbench.ts copies them into a
-- schema of their own). A sequence gives positions, hashes are constants, nothing is locked or chained.
\set order random(1, 1000000000000000000)
begin;
insert into limits.streams (stream_id, lane, version, head_hash, request_hash)
  values ('bench-' || :order, 0, 1,
    '\x0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0',
    '\xf0e1d2c3b4a5968778695a4b3c2d1e0ff0e1d2c3b4a5968778695a4b3c2d1e0f');
insert into limits.events (lane, position, stream_id, version, event_id, type, schema_version, occurred_at, recorded_at,
    actor, correlation_id, causation_id, command_id, trace_parent, data, previous_hash, hash)
  values (0, nextval('limits.positions'), 'bench-' || :order, 1,
    '6f9619ff-8b86-4011-b42d-00c04fc964ff/0', 'OrderPlaced', 1,
    1767225600000, (extract(epoch from clock_timestamp()) * 1000)::bigint,
    'client', '6f9619ff-8b86-4011-b42d-00c04fc964ff', null, '6f9619ff-8b86-4011-b42d-00c04fc964ff', null,
    '{"clientOrderId": "nxabcdefghijklmnopqrstuvwxyz234567", "request": {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.015", "quoteQuantity": null, "price": "61234.5", "validUntil": null}, "instrumentVersion": 1, "staleAt": 1767225720000}',
    '', '\x0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0');
insert into limits.orders (order_id, client_order_id, symbol, side, type, time_in_force, quantity, price, status,
    certainty, cancel_requested, cancel_refused, filled_quantity, filled_quote, fees, fills, parked, stale_at, due_at,
    placed_at, updated_at, lane, version)
  values ('bench-' || :order, 'nx' || :order, 'BTCUSDT', 'BUY', 'LIMIT', 'GTC', 0.015, 61234.5, 'PENDING',
    'CONFIRMED', false, false, 0, 0, '{}', '[]', false, 1767225720000, (extract(epoch from clock_timestamp()) * 1000)::bigint,
    (extract(epoch from clock_timestamp()) * 1000)::bigint, 1767225600000, 0, 1);
commit;
