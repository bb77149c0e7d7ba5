-- Parked orders are few and the blotter is long: an operator who asks for them must not read all of it.

create index orders_parked on orders (order_id) where parked;
