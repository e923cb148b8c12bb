#include "cli/plan_text.h"

#include <fmt/format.h>

#include <vector>

#include "cli/job_text.h"
#include "common/duration.h"
#include "common/hostlist.h"
#include "common/terminal.h"

namespace muster::cli {
namespace {

std::string JobsText(const google::protobuf::RepeatedField<uint64_t>& jobs) {
  return fmt::format("job{} {}", jobs.size() == 1 ? "" : "s",
                     FormatRanges(std::vector<uint64_t>(jobs.begin(), jobs.end())));
}

}  // namespace

std::string StartText(int64_t start, int64_t now) {
  if (start <= now) return "at once";
  return fmt::format("in about {} ({})", SinceText(now, start), TimeText(start));
}

std::string PlanText(const v1::PlanJobResponse& plan, int64_t now) {
  std::string out;
  const std::string where = PlacementText(plan.shares());
  if (plan.fits_now()) {
    out += fmt::format("would start now: {}\n  because  {}\n", Printable(where),
                       Printable(plan.reason()));
  } else {
    out += fmt::format("would wait: {}\n", Printable(plan.reason()));
    if (plan.start_unix_ms() > 0) {
      out += fmt::format("  start    {}{}{}\n", StartText(plan.start_unix_ms(), now),
                         where.empty() ? "" : ": ", Printable(where));
    } else {
      out += "  start    cannot be told: it depends on jobs without a time limit, or on people\n";
    }
  }
  if (plan.spares_size() > 0) {
    out += fmt::format("  spares   {}\n",
                       Printable(FormatHostlist({plan.spares().begin(), plan.spares().end()})));
  }
  if (plan.mtbf_seconds() > 0) {
    out +=
        fmt::format("  failures one per {} expected on so many nodes; hot spares recommended: {}\n",
                    DurationText(absl::Seconds(plan.mtbf_seconds())), plan.recommended_spares());
  }
  if (plan.preempts_size() > 0) {
    out += fmt::format("  preempts {}; saved first, to go on later\n", JobsText(plan.preempts()));
  }
  for (const std::string& line : plan.unblock()) {
    out += fmt::format("  unblock  {}\n", Printable(line));
  }
  return out;
}

}  // namespace muster::cli
