-- SPDX-License-Identifier: Apache-2.0
-- Each host's journal as it was told: its head, how many of its records nothing has told of, and how often and why
-- it did not fit. What does not fit comes first.
WITH newest AS (
    SELECT j.host_id, max(j.chain) AS chain FROM host_journal AS j GROUP BY j.host_id
), spans AS (
    SELECT n.host_id, n.chain, max(j.last) AS last, max(j.last) - min(j.first) + 1 - sum(j.last - j.first + 1) AS untold
      FROM newest AS n JOIN host_journal AS j ON j.host_id = n.host_id AND j.chain = n.chain
     GROUP BY n.host_id, n.chain
)
SELECT s.host_id::int4, coalesce(h.name, '')::text, s.last::int8, l.head::bytea, s.untold::int8, (s.chain - 1)::int4,
       coalesce((SELECT j.why FROM host_journal AS j
                  WHERE j.host_id = s.host_id AND j.chain = s.chain AND j.why <> '' LIMIT 1), '')::text,
       l.told::timestamptz
  FROM spans AS s
  JOIN host_journal AS l ON l.host_id = s.host_id AND l.chain = s.chain AND l.last = s.last
  LEFT JOIN host AS h ON h.host_id = s.host_id
 ORDER BY s.chain > 1 DESC, s.untold > 0 DESC, s.host_id
 LIMIT $1::int4
