-- What differs from the posture before it.
INSERT INTO posture (host_id, ts, doc)
SELECT v.host_id, v.ts, v.doc::jsonb
  FROM unnest($1::int4[], $2::timestamptz[], $3::text[]) AS v(host_id, ts, doc)
 WHERE v.doc::jsonb IS DISTINCT FROM
       (SELECT p.doc FROM posture AS p WHERE p.host_id = v.host_id AND p.ts <= v.ts
         ORDER BY p.ts DESC LIMIT 1)
ON CONFLICT DO NOTHING
