-- What orders can say since they may wait for a price, show themselves in parts, and meet one another.
--
-- Null for all that do not: the columns cost such a row nothing.

alter table orders
  add column stop_price numeric,
  add column iceberg_quantity numeric,
  add column self_trade_prevention text;
