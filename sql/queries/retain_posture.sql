-- SPDX-License-Identifier: Apache-2.0
-- But not a host's newest one, which still holds.
DELETE FROM posture
WHERE (host_id, ts) IN (SELECT p.host_id, p.ts FROM posture p
                        WHERE p.ts < $1::timestamptz
                          AND EXISTS (SELECT FROM posture n WHERE n.host_id = p.host_id AND n.ts > p.ts)
                        LIMIT $2::int4)
