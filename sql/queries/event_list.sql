-- SPDX-License-Identifier: Apache-2.0
-- One page, newest first; $5..$9 is the last row of the page before. Names are looked up for the page alone: where
-- events are distributed, they are elsewhere.
WITH e AS MATERIALIZED (
    SELECT e.ts, e.host_id, e.epoch, e.seq, e.idx, e.kind, e.proc_id, e.doc
      FROM event e
     WHERE e.ts >= $1::timestamptz AND e.ts < $2::timestamptz
       AND ($3::int4 = 0 OR e.host_id = $3::int4)
       AND ($4::text IS NULL OR e.kind = $4::text)
       AND ($5::timestamptz IS NULL
            OR (e.ts, e.host_id, e.epoch, e.seq, e.idx)
               < ($5::timestamptz, $6::int4, $7::int8, $8::int8, $9::int2))
     ORDER BY e.ts DESC, e.host_id DESC, e.epoch DESC, e.seq DESC, e.idx DESC
     LIMIT $10::int4
)
SELECT
    e.ts::timestamptz, e.host_id::int4, e.epoch::int8, e.seq::int8, e.idx::int2, e.kind::text,
    coalesce(e.proc_id, 0)::int8, e.doc::text,
    coalesce((SELECT h.name FROM host h WHERE h.host_id = e.host_id), '')::text,
    CASE e.kind WHEN 'oom_kill' THEN e.doc->>'verdict'
                WHEN 'death' THEN e.doc->>'text'
                WHEN 'exit' THEN (SELECT p.verdict FROM process p
                                  WHERE p.host_id = e.host_id AND p.proc_id = e.proc_id)
    END::text
FROM e
ORDER BY e.ts DESC, e.host_id DESC, e.epoch DESC, e.seq DESC, e.idx DESC
