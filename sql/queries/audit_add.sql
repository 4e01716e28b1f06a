-- SPDX-License-Identifier: Apache-2.0
INSERT INTO audit (ts, actor, action, target, doc, prev, hash)
VALUES ($1::timestamptz, $2::text, $3::text, $4::text, $5::jsonb, $6::bytea, $7::bytea)
RETURNING audit_id::int8
