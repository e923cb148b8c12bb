#include "cli/incident_lines.h"

#include <gmock/gmock.h>

namespace muster::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int64_t kHour = 3'600'000;

v1::Incident Incident(uint64_t id, v1::IncidentState state, const std::string& text,
                      int64_t time_unix_ms = kHour) {
  v1::Incident incident;
  incident.set_id(id);
  incident.set_state(state);
  incident.set_text(text);
  incident.set_time_unix_ms(time_unix_ms);
  return incident;
}

v1::ListIncidentsResponse Listed(const std::vector<v1::Incident>& incidents) {
  v1::ListIncidentsResponse response;
  response.mutable_incidents()->Assign(incidents.begin(), incidents.end());
  return response;
}

TEST(IncidentLines, BeginningAndEndOnceEach) {
  IncidentLines lines;
  EXPECT_THAT(lines.Take({}), IsEmpty());
  const v1::Incident open =
      Incident(7, v1::INCIDENT_STATE_OPEN, "rank 1 on n1 killed by SIGKILL; being repaired");
  EXPECT_THAT(lines.Take(Listed({open})),
              ElementsAre("incident 7: rank 1 on n1 killed by SIGKILL; being repaired"));
  EXPECT_THAT(lines.Take(Listed({open})), IsEmpty());
  const v1::Incident over =
      Incident(7, v1::INCIDENT_STATE_RESUMED, "rank 1 …; 1.9 s, 8 steps again");
  EXPECT_THAT(lines.Take(Listed({over})),
              ElementsAre("incident 7: rank 1 …; 1.9 s, 8 steps again"));
  EXPECT_THAT(lines.Take(Listed({over})), IsEmpty());
}

TEST(IncidentLines, WaitingIsSaidGoingOnAfterItIsNot) {
  IncidentLines lines;
  lines.Take(Listed({Incident(7, v1::INCIDENT_STATE_OPEN, "being repaired")}));
  EXPECT_THAT(lines.Take(Listed({Incident(7, v1::INCIDENT_STATE_WAITING, "waiting: 2 free")})),
              ElementsAre("incident 7: waiting: 2 free"));
  EXPECT_THAT(lines.Take(Listed({Incident(7, v1::INCIDENT_STATE_WAITING, "waiting: 3 free")})),
              IsEmpty());
  EXPECT_THAT(lines.Take(Listed({Incident(7, v1::INCIDENT_STATE_OPEN, "being repaired")})),
              IsEmpty());
}

TEST(IncidentLines, WhatWasOverAtTheFirstLookIsOldWhatIsOpenIsNot) {
  IncidentLines lines;
  EXPECT_THAT(lines.Take(Listed({Incident(9, v1::INCIDENT_STATE_WAITING, "waits"),
                                 Incident(8, v1::INCIDENT_STATE_RESUMED, "old"),
                                 Incident(7, v1::INCIDENT_STATE_OPEN, "opens")})),
              ElementsAre("incident 7: opens", "incident 9: waits"));
}

TEST(IncidentLines, OneThatCameAndWentBetweenTwoLooksIsTold) {
  IncidentLines lines;
  lines.Take({});
  EXPECT_THAT(lines.Take(Listed({Incident(8, v1::INCIDENT_STATE_FAILED, "given up: \x1b[31m")})),
              ElementsAre("incident 8: given up: ?[31m"));
}

TEST(IncidentLines, AsksNoFurtherBackThanSomethingMayHaveChanged) {
  IncidentLines lines;
  EXPECT_EQ(lines.since_unix_ms(), 0);
  lines.Take(Listed({Incident(9, v1::INCIDENT_STATE_RESUMED, "", 9 * kHour),
                     Incident(8, v1::INCIDENT_STATE_OPEN, "", 5 * kHour),
                     Incident(7, v1::INCIDENT_STATE_RESUMED, "", 1 * kHour)}));
  EXPECT_GT(lines.since_unix_ms(), 1 * kHour);
  EXPECT_LT(lines.since_unix_ms(), 5 * kHour);
  lines.Take(Listed({Incident(9, v1::INCIDENT_STATE_RESUMED, "", 9 * kHour),
                     Incident(8, v1::INCIDENT_STATE_RESUMED, "", 5 * kHour)}));
  EXPECT_GT(lines.since_unix_ms(), 8 * kHour);
  EXPECT_LT(lines.since_unix_ms(), 9 * kHour);
}

}  // namespace
}  // namespace muster::cli
