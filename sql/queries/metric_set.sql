-- The metrics of a kind, by their numbers from 0.
INSERT INTO metric AS m (kind, number, name, counter, unit, factor, help)
SELECT $1::int2, (x.at - 1)::int2, x.name, x.counter <> 0, x.unit,
       CASE x.unit WHEN 'bytes' THEN 1024 WHEN 'seconds' THEN 1e-3 WHEN 'ratio' THEN 1e-4 ELSE 1 END, x.help
  FROM unnest($2::text[], $3::int8[], $4::text[], $5::text[]) WITH ORDINALITY
       AS x(name, counter, unit, help, at)
ON CONFLICT (kind, number) DO UPDATE
   SET name = excluded.name, counter = excluded.counter, unit = excluded.unit, factor = excluded.factor,
       help = excluded.help
 WHERE (m.name, m.counter, m.unit, m.factor, m.help)
       IS DISTINCT FROM (excluded.name, excluded.counter, excluded.unit, excluded.factor, excluded.help)
