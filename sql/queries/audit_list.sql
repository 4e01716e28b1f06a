-- SPDX-License-Identifier: Apache-2.0
SELECT audit_id::int8, ts::timestamptz, actor::text, action::text, target::text, doc::text, prev::bytea, hash::bytea
FROM audit
WHERE audit_id > $1::int8
ORDER BY audit_id
LIMIT $2::int4
