/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/series.h"

const struct series_type series_types[SERIES_KINDS] = {
	[SERIES_PROCESS] = {"process", metric_infos, &chunk_process_spec, metric_find, METRIC_RSS},
	[SERIES_HOST] = {"host", host_metric_infos, &chunk_host_spec, host_metric_find,
			 HOST_METRIC_AVAILABLE},
	[SERIES_CGROUP] = {"cgroup", cgroup_metric_infos, &chunk_cgroup_spec, cgroup_metric_find,
			   CGROUP_METRIC_WORKING_SET},
	[SERIES_INTERPRETER] = {"interpreter", interpreter_metric_infos, &chunk_interpreter_spec,
				interpreter_metric_find, INTERPRETER_METRIC_GC2},
};
