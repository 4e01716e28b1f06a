-- SPDX-License-Identifier: Apache-2.0
-- What an action was asked to do: an object with each of its parameters, {} for those that take none.

ALTER TABLE command ADD COLUMN params jsonb NOT NULL DEFAULT '{}';

CREATE OR REPLACE VIEW actions AS
SELECT c.created, c.host_id, h.name AS host, c.cmd_id AS action_id, c.action, c.state, c.dry_run,
       c.proc_id AS process, c.pid, c.actor, c.reason, c.alert_id, c.sent, c.done,
       c.rss_before AS rss_before_bytes, c.rss_after AS rss_after_bytes, c.swap_before AS swap_before_bytes,
       c.swap_after AS swap_after_bytes, c.held_us / 1e6::float8 AS held_seconds, c.detail, c.params
  FROM command AS c JOIN host AS h USING (host_id);
