// SPDX-License-Identifier: Apache-2.0
// The node's report as metric families.
#pragma once
#include <prometheus/metric_family.h>

#include <string>
#include <vector>

#include "node/reports.h"

namespace refrain::server {

using Families = std::vector<prometheus::MetricFamily>;

void add_gauge(Families& families, const std::string& name, const std::string& help, double value);
void add_report(Families& families, const node::StatusReport& report);

}  // namespace refrain::server
