-- SPDX-License-Identifier: Apache-2.0
-- A run of a host's journal: whether it fits (mh_journal_told), whether the action is one of ours, and the
-- host's name. What became of an action later is added to its detail.
WITH told AS MATERIALIZED (
    SELECT mh_journal_told($1::int4, $2::int8, $3::int4, $4::bytea, $5::bytea, $6::uuid, $7::timestamptz) AS why
), noted AS (
    UPDATE command AS c
       SET detail = left(concat_ws('; ', nullif(c.detail, ''), $8::text), 380)
      FROM told AS t
     WHERE $8::text <> '' AND c.host_id = $1::int4 AND c.cmd_id = $6::uuid AND t.why IS NOT NULL
)
SELECT t.why::text,
       EXISTS (SELECT FROM command AS c WHERE c.host_id = $1::int4 AND c.cmd_id = $6::uuid)::bool,
       coalesce((SELECT h.name FROM host AS h WHERE h.host_id = $1::int4), '')::text
  FROM told AS t
