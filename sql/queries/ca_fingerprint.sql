-- SPDX-License-Identifier: Apache-2.0
-- Recorded by the first start, the same from then on: one database, one CA.
INSERT INTO meta AS m (key, value) VALUES ('ca_sha256', encode($1::bytea, 'hex'))
ON CONFLICT (key) DO UPDATE SET value = m.value
RETURNING decode(value, 'hex')::bytea
