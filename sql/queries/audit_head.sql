-- SPDX-License-Identifier: Apache-2.0
-- The chain's head, 32 zero bytes before the first row, and the document as jsonb will print it.
SELECT coalesce((SELECT hash FROM audit ORDER BY audit_id DESC LIMIT 1), decode(repeat('00', 32), 'hex'))::bytea,
       ($1::jsonb)::text
