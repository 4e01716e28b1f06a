-- SPDX-License-Identifier: Apache-2.0
--
-- Distributes the schema over the workers of a Citus cluster, by host. To be run by psql on the
-- coordinator, as the owner of the tables, while no collector runs:
--
--   psql -v ON_ERROR_STOP=1 -f citus.sql "$DATABASE"
--
-- Before it: the workers are registered (citus_add_node) and a memherd-collector has migrated the
-- schema. It may be run again: what is distributed stays so; after an upgrade of memherd run it
-- again, for the tables that are new.
--
-- What goes where (docs/adr/0035)
--   by_host   by host_id, in one co-location: what grows with the samples; a host's rows are together
--   here      on the coordinator: all else. It is small beside that, much of it is counted, locked or
--             chained over the fleet, and most statements that are not about samples are of it alone.
--
-- It also replaces mh_make_leaf() (a leaf is set up before it is attached), has functions plan for the
-- values they get, and rewrites the views sample_* (times by a function that workers may run). A later migration may undo that: after an
-- upgrade stop the collector, run 'memherd-collector migrate', then this, then start it.
--
-- What was tried: Citus 13.2.2 on PostgreSQL 15.20, a coordinator and two workers on one machine, one
-- collector, one agent (tests/integration/test_citus.py, which runs wherever the extension is
-- installed; Debian has no package of it): samples, seals, series in REST and SQL, events, alerts and
-- mails, commands, the account of streams, gaps, restarts, replay, days, held evidence, retention.
-- Not tried: servers on several machines, moving shards, replicas, a fleet of many hosts, an export
-- ('db export'), newer PostgreSQLs. Try it with a copy of your data.
--
-- What it does not do
--   * It makes no cluster, moves no shards and knows no replicas: that is Citus' and yours. Give it
--     max_prepared_transactions on each node: a commit over nodes is a two-phase one.
--   * One collector a database. Several do not see what the others receive: the statement that reads
--     it (follow) is refused.
--   * DETACH PARTITION .. CONCURRENTLY is refused for what is distributed, so the collector drops an
--     old leaf as it is: for 0.2 s at most it waits for who reads the table, and what is stored waits
--     for it; then it tries again 5 s later, with a line in the log. A reader that never ends (an open
--     transaction) keeps leaves and disks from being freed.
--   * GET /store and memherd_store_bytes tell what the coordinator has itself; the rest is in
--     citus_tables.
--   * A commit is seen on the coordinator a moment before it is on the workers: who reads both just
--     then (stream_account) may see batches as missing that are there in the next moment. A seal of
--     late data in that moment may be left out of a day's figures.
--   * Functions that read samples (series() and its like) run on the coordinator and fetch chunks
--     from the worker that has the host; the views sample_* decode on the workers.
--   * It does not make the collector faster on one machine.

DO $$
DECLARE
    t text;
    v record;
    by_host constant text[] := ARRAY[
        'inbox', 'chunk', 'host_chunk', 'chunk_held', 'host_chunk_held', 'rollup_window', 'rollup_1h', 'rollup_1d',
        'event'];
    here constant text[] := ARRAY[
        'agent_stream', 'alert', 'api_token', 'audit', 'breaker', 'census', 'census_type', 'cgroup', 'collector', 'command',
        'compaction', 'counter', 'dead_letter', 'enroll_token', 'gap', 'host', 'host_journal', 'lease', 'mail',
        'maintenance', 'meta', 'metric', 'oom_kill', 'posture', 'process', 'readable', 'rollup_day', 'snapshot'];
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
        RAISE EXCEPTION 'the extension citus is not in this database'
              USING HINT = 'CREATE EXTENSION citus; and citus_add_node() for each worker';
    END IF;
    IF to_regclass('public.host') IS NULL THEN
        RAISE EXCEPTION 'there is no schema of memherd here'
              USING HINT = 'memherd-collector migrate -c collector.conf';
    END IF;
    -- Functions and tables in one transaction.
    PERFORM set_config('citus.multi_shard_modify_mode', 'sequential', true);
    -- Nothing is left out: a table that a later version brings must be named above.
    SELECT string_agg(c.relname, ', ' ORDER BY c.relname) INTO t
      FROM pg_class AS c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
       AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e')
       AND c.relname <> ALL (by_host || here);
    IF t IS NOT NULL THEN
        RAISE EXCEPTION 'this script is older than the schema: it does not name %', t;
    END IF;
    -- One plan for all values cannot be had for what is distributed, but by chance.
    FOR v IN SELECT p.oid::regprocedure AS name FROM pg_proc AS p
              WHERE p.pronamespace = 'public'::regnamespace
                AND 'plan_cache_mode=force_generic_plan' = ANY (p.proconfig) LOOP
        EXECUTE format('ALTER FUNCTION %s SET plan_cache_mode = auto', v.name);
    END LOOP;
    -- The windows' start in seconds, by functions that may run on a worker: time zones have no part in it.
    FOR v IN SELECT c.oid::regclass AS name, pg_get_viewdef(c.oid) AS def FROM pg_class AS c
              WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v' AND c.relname LIKE 'sample\_%' LOOP
        EXECUTE format('CREATE OR REPLACE VIEW %s AS %s', v.name,
                       replace(v.def, 'date_part(''epoch''::text, c.t0)',
                               'date_part(''epoch''::text, c.t0 AT TIME ZONE ''UTC'')'));
    END LOOP;
    FOREACH t IN ARRAY by_host LOOP
        IF NOT EXISTS (SELECT FROM citus_tables WHERE table_name = t::regclass AND citus_table_type = 'distributed') THEN
            PERFORM create_distributed_table(t, 'host_id', colocate_with =>
                    CASE WHEN t = by_host[1] THEN 'none' ELSE by_host[1] END);
        END IF;
    END LOOP;
END $$;

-- Leaves as mh_make_leaf() of the migrations makes them, but set up before they are attached: what is distributed
-- takes no SET STORAGE.
CREATE OR REPLACE FUNCTION mh_make_leaf(parent text, lo timestamptz, hi timestamptz) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    leaf text := parent || '_p' || to_char(lo AT TIME ZONE 'UTC',
                 CASE WHEN hi - lo <= interval '1 hour' THEN 'YYYYMMDD_HH24' ELSE 'YYYYMMDD' END);
BEGIN
    IF to_regclass(quote_ident(leaf)) IS NOT NULL THEN
        RETURN leaf;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)',
                   leaf, parent);
    IF parent IN ('inbox', 'chunk', 'host_chunk', 'chunk_held', 'host_chunk_held') THEN
        EXECUTE format('ALTER TABLE %I ALTER d SET STORAGE EXTERNAL', leaf);
        EXECUTE format('ALTER TABLE %I SET (toast_tuple_target = 8160)', leaf);
    ELSIF parent = 'rollup_window' THEN
        EXECUTE format('ALTER TABLE %I SET (toast_tuple_target = 128)', leaf);
    END IF;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   parent, leaf, lo, hi);
    RETURN leaf;
END $$;
