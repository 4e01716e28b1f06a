-- Each host's as it was told last.
SELECT h.host_id::int4, p.ts::timestamptz, p.doc::text
  FROM host AS h, LATERAL (SELECT ts, doc FROM posture AS o WHERE o.host_id = h.host_id
                            ORDER BY ts DESC LIMIT 1) AS p
