-- SPDX-License-Identifier: Apache-2.0
-- One page, newest first; $6..$8 is the last row of the page before.
SELECT
    k.kill_id::int8, k.ts::timestamptz, k.host_id::int4,
    coalesce((SELECT h.name FROM host h WHERE h.host_id = k.host_id), '')::text,
    k.cause::text, k.confidence::text, k.oom::bool, k.complete::bool, k.replayed::bool,
    coalesce(k.proc_id, 0)::int8, coalesce(k.pid, 0)::int4, k.comm::text, k.service::text,
    k.container::text, coalesce(k.rss, -1)::int8, k.limit_cgroup::text, k.limit_owner::text,
    coalesce(k.limit_bytes, -1)::int8, (CASE own.said WHEN '' THEN k.verdict ELSE rtrim(k.verdict, '.') || own.said || '.' END)::text,
    coalesce(k.doc->'growers'->0->>'service', k.doc->'growers'->0->>'comm', '')::text
FROM oom_kill k, LATERAL (SELECT mh_own_limit(k.host_id, k.limit_cgroup, k.limit_bytes, k.proc_id, k.ts) AS said) own
WHERE k.ts >= $1::timestamptz AND k.ts < $2::timestamptz
  AND ($3::int4 = 0 OR k.host_id = $3::int4)
  AND ($4::text IS NULL OR k.service = $4::text)
  AND ($5::text IS NULL OR k.cause = $5::text)
  AND ($6::timestamptz IS NULL OR (k.ts, k.host_id, k.kill_id) < ($6::timestamptz, $7::int4, $8::int8))
ORDER BY k.ts DESC, k.host_id DESC, k.kill_id DESC
LIMIT $9::int4
