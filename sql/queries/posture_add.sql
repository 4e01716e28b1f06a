-- What differs from the posture before it.
INSERT INTO posture (host_id, ts, doc)
SELECT DISTINCT ON (v.host_id, v.ts) v.host_id, v.ts, v.doc::jsonb
  FROM unnest($1::int4[], $2::timestamptz[], $3::text[]) WITH ORDINALITY AS v(host_id, ts, doc, n)
 WHERE v.doc::jsonb IS DISTINCT FROM
       (SELECT p.doc FROM posture AS p WHERE p.host_id = v.host_id AND p.ts <= v.ts
         ORDER BY p.ts DESC LIMIT 1)
 ORDER BY v.host_id, v.ts, v.n DESC
ON CONFLICT (host_id, ts) DO UPDATE SET doc = excluded.doc
