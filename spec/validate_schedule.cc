#include "spec/validate_schedule.h"

#include <fmt/format.h>

#include <cmath>

#include "common/hostlist.h"
#include "spec/enum_word.h"
#include "spec/exact_duration.h"
#include "spec/mesh.h"
#include "spec/names.h"
#include "spec/nearest_name.h"

namespace muster::spec {
namespace {

constexpr size_t kDeviceMax = 128;
constexpr int kLabelsMax = 64;
constexpr int kAfterMax = 64;
constexpr int32_t kPriorityMax = 1000;
constexpr uint32_t kArrayMax = 10'000;
constexpr uint32_t kSparesMax = 100'000;
constexpr int64_t kGraceSecondsMax = 3600;
constexpr int64_t kGrowAfterSecondsMax = int64_t{7} * 24 * 3600;

class ScheduleRules {
 public:
  ScheduleRules(const v1::JobSpec& spec, std::vector<Problem>* problems)
      : spec_(spec), problems_(*problems) {}

  void Domains() {
    const v1::Axis* around = nullptr;  // the innermost axis so far that asks
    for (const v1::Axis& axis : spec_.mesh()) {
      if (axis.within() == v1::DOMAIN_UNSPECIFIED) continue;
      const std::string field = "mesh." + axis.name() + ".within";
      if (!v1::Domain_IsValid(axis.within())) {
        Add(field, fmt::format("{} is no domain; give node, nvlink, rack or pod",
                               static_cast<int>(axis.within())));
        continue;
      }
      if (around != nullptr && axis.within() > around->within()) {
        Add(field, fmt::format("{}, but these ranks are inside {}, which keeps them within one {} "
                               "already; write {} or leave it out",
                               EnumWord(axis.within()), around->name(), EnumWord(around->within()),
                               EnumWord(around->within())));
      } else {
        around = &axis;
      }
    }
  }

  void Placement() {
    if (spec_.resources().device().size() > kDeviceMax ||
        HasControlCharacter(spec_.resources().device())) {
      Add("resources.device", fmt::format("give a part of the device's product name such as H100, "
                                          "at most {} bytes",
                                          kDeviceMax));
    }
    const v1::PlacementSpec& placement = spec_.placement();
    if (placement.select_size() > kLabelsMax) {
      Add("placement.select",
          fmt::format("{} labels; at most {}", placement.select_size(), kLabelsMax));
      return;
    }
    for (int i = 0; i < placement.select_size(); ++i) {
      const v1::Label& label = placement.select(i);
      const std::string field = "placement.select." + label.name();
      if (!Check("placement.select", CheckLabelName(label.name()))) continue;
      Check(field, CheckLabelValue(label.value()));
      for (int k = 0; k < i; ++k) {
        if (placement.select(k).name() == label.name()) Add(field, "named twice; keep one");
      }
    }
    if (placement.exclude_size() > kLabelsMax || placement.tolerate_size() > kLabelsMax) {
      Add("placement", fmt::format("more than {} entries in exclude or tolerate; write nodes as "
                                   "ranges such as n[1-40]",
                                   kLabelsMax));
      return;
    }
    for (int i = 0; i < placement.exclude_size(); ++i) {
      Check(fmt::format("placement.exclude[{}]", i), ParseHostlist(placement.exclude(i)).status());
    }
    for (int i = 0; i < placement.tolerate_size(); ++i) {
      Check(fmt::format("placement.tolerate[{}]", i), CheckTaint(placement.tolerate(i)));
    }
    if (placement.has_spread()) Spread(placement.spread());
  }

  void Schedule() {
    const v1::ScheduleSpec& schedule = spec_.schedule();
    if (!schedule.queue().empty()) Check("schedule.queue", CheckQueueName(schedule.queue()));
    if (schedule.priority() < -kPriorityMax || schedule.priority() > kPriorityMax) {
      Add("schedule.priority",
          fmt::format("{}; give {} to {}", schedule.priority(), -kPriorityMax, kPriorityMax));
    }
    if (schedule.has_time_limit()) {
      TimeBetween("schedule.time_limit", schedule.time_limit(), 1, kDurationSecondsMax);
    }
    if (schedule.has_preempt_grace()) {
      TimeBetween("schedule.preempt_grace", schedule.preempt_grace(), 0, kGraceSecondsMax);
    }
    if (schedule.after_size() > kAfterMax) {
      Add("schedule.after", fmt::format("{} jobs; at most {}", schedule.after_size(), kAfterMax));
    } else {
      for (int i = 0; i < schedule.after_size(); ++i) After(i, schedule.after(i));
    }
    if (schedule.has_array()) Array(schedule.array());
  }

  void Spares() {
    const v1::RecoverySpec& recovery = spec_.recovery();
    if (recovery.hot_spares() > kSparesMax) {
      Add("recovery.hot_spares",
          fmt::format("{}; give 0 to {} nodes", recovery.hot_spares(), kSparesMax));
    }
    if (recovery.has_hang_after()) {
      TimeBetween("recovery.hang_after", recovery.hang_after(), 1, kDurationSecondsMax);
    }
    if (!(recovery.spare_share() >= 0 && recovery.spare_share() <= 1)) {
      Add("recovery.spare_share",
          fmt::format("{}; give a share of the job's nodes from 0 to 1", recovery.spare_share()));
    }
    if (recovery.lend_spares() && recovery.hot_spares() == 0 && recovery.spare_share() == 0) {
      Add("recovery.lend_spares",
          "true, but the job keeps no spares; give hot_spares or spare_share too");
    }
    if (recovery.has_grow_after()) {
      TimeBetween("recovery.grow_after", recovery.grow_after(), 1, kGrowAfterSecondsMax);
    }
  }

 private:
  void Add(const std::string& field, std::string text) {
    problems_.push_back({field, std::move(text)});
  }

  bool Check(const std::string& field, const absl::Status& status) {
    if (!status.ok()) Add(field, std::string(status.message()));
    return status.ok();
  }

  void TimeBetween(const std::string& field, const google::protobuf::Duration& duration,
                   int64_t least_seconds, int64_t most_seconds) {
    std::string problem = OutsideText(duration, least_seconds, most_seconds);
    if (!problem.empty()) Add(field, std::move(problem));
  }

  void Spread(const v1::SpreadSpec& spread) {
    const std::string field = "placement.spread";
    std::vector<std::string> names;
    uint64_t parts = 1;
    const v1::Axis* keeps = nullptr;  // the outermost axis, down to the named one, that asks
    bool found = false;
    for (const v1::Axis& axis : spec_.mesh()) {
      names.push_back(axis.name());
      if (found) continue;
      parts = parts * axis.size() > UINT32_MAX ? UINT32_MAX : parts * axis.size();
      const bool narrow =
          axis.within() != v1::DOMAIN_UNSPECIFIED && axis.within() <= spread.across();
      if (narrow && keeps == nullptr) keeps = &axis;
      found = axis.name() == spread.axis();
    }
    if (!found) {
      const std::string nearest = NearestName(spread.axis(), names);
      return Add(field + ".axis",
                 fmt::format("\"{:.40}\" is not an axis of the mesh; {}", spread.axis(),
                             nearest.empty() ? "name one of " + MeshText(spec_)
                                             : "did you mean \"" + nearest + "\"?"));
    }
    if (spread.across() == v1::DOMAIN_UNSPECIFIED || !v1::Domain_IsValid(spread.across())) {
      return Add(field + ".across", "missing; give node, nvlink, rack or pod");
    }
    if (keeps != nullptr) {
      return Add(field + ".across",
                 fmt::format("{}, but mesh.{} keeps these ranks within one {}; spread an axis "
                             "outside of it, or change its within",
                             EnumWord(spread.across()), keeps->name(), EnumWord(keeps->within())));
    }
    if (spread.at_least() > parts) {
      Add(field + ".at_least",
          fmt::format("{} domains, but {} has {} part{} to spread; give 0 to "
                      "{}",
                      spread.at_least(), spread.axis(), parts, parts == 1 ? "" : "s", parts));
    }
  }

  void After(int index, const v1::Dependency& after) {
    const std::string field = fmt::format("schedule.after[{}]", index);
    const bool is_id = !after.job().empty() && after.job().size() <= 19 &&
                       after.job().find_first_not_of("0123456789") == std::string::npos;
    if (!is_id) Check(field, CheckJobName(after.job()));
    if (!v1::AfterEvent_IsValid(after.when())) {
      Add(field, fmt::format("when: {} is no event; give succeeded, ended, failed or started",
                             static_cast<int>(after.when())));
    }
  }

  void Array(const v1::ArraySpec& array) {
    if (array.count() == 0 || array.count() > kArrayMax) {
      Add("schedule.array.count", fmt::format("{}; give 1 to {} jobs", array.count(), kArrayMax));
      return;
    }
    if (array.at_once() > array.count()) {
      Add("schedule.array.at_once", fmt::format("{}, but the array has {} jobs; give 0 (no limit) "
                                                "to {}",
                                                array.at_once(), array.count(), array.count()));
    }
    const std::string last = fmt::format("{}-{}", spec_.name(), array.count() - 1);
    if (spec_.name().size() <= kJobNameMax && last.size() > kJobNameMax) {
      Add("name", fmt::format("too long for an array of {}: its jobs are called NAME-0 to NAME-{}; "
                              "use at most {} characters",
                              array.count(), array.count() - 1,
                              kJobNameMax - (last.size() - spec_.name().size())));
    }
  }

  const v1::JobSpec& spec_;
  std::vector<Problem>& problems_;
};

}  // namespace

void FindDomainProblems(const v1::JobSpec& spec, std::vector<Problem>* problems) {
  ScheduleRules(spec, problems).Domains();
}

void FindPlacementProblems(const v1::JobSpec& spec, std::vector<Problem>* problems) {
  ScheduleRules(spec, problems).Placement();
}

void FindScheduleProblems(const v1::JobSpec& spec, std::vector<Problem>* problems) {
  ScheduleRules rules(spec, problems);
  rules.Spares();
  rules.Schedule();
}

}  // namespace muster::spec
