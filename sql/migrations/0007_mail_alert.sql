-- SPDX-License-Identifier: Apache-2.0
-- Whether an alert was ever mailed is asked of this table: the alert's own row may be ahead of it.

CREATE INDEX mail_alert ON mail (alert_id);
