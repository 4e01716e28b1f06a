-- Recorded by the first start, the same from then on.
INSERT INTO meta AS m (key, value) VALUES ('window_us', ($1::int8)::text)
ON CONFLICT (key) DO UPDATE SET value = m.value
RETURNING value::int8
