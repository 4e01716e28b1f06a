-- SPDX-License-Identifier: Apache-2.0
-- Some actions wait for a second person: nothing of them is signed before.

ALTER TABLE command ALTER body DROP NOT NULL, ALTER signature DROP NOT NULL;
ALTER TABLE command ADD approved timestamptz; -- when a second person let it go ahead; NULL = none was needed, or not yet
ALTER TABLE command ADD approved_by text;
ALTER TABLE command ADD warrant bytea; -- what an operator signed, with his signature: struct command_warrant
ALTER TABLE command ADD CONSTRAINT command_unsigned CHECK ((state <> 'waiting_approval') OR (body IS NULL AND signature IS NULL));
CREATE INDEX command_waiting ON command (expires) WHERE state = 'waiting_approval';

CREATE OR REPLACE VIEW actions AS
SELECT c.created, c.host_id, h.name AS host, c.cmd_id AS action_id, c.action, c.state, c.dry_run,
       c.proc_id AS process, c.pid, c.actor, c.reason, c.alert_id, c.sent, c.done,
       c.rss_before AS rss_before_bytes, c.rss_after AS rss_after_bytes, c.swap_before AS swap_before_bytes,
       c.swap_after AS swap_after_bytes, c.held_us / 1e6::float8 AS held_seconds, c.detail, c.params,
       c.verdict, c.effects, c.history, c.approved, c.approved_by
  FROM command AS c JOIN host AS h USING (host_id);
