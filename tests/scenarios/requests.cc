// The commands of a scenario that people give.
#include "common/duration.h"
#include "tests/scenarios/script.h"

namespace muster::scenarios {
namespace core = coordinator::core;
namespace {

// request=, validate, reason=: where the request has them.
template <typename Request>
void SetCommon(const Words& words, Request* request) {
  request->set_request_id(Get(words, "request"));
  request->set_validate_only(Has(words, "validate"));
  if constexpr (requires { request->set_reason(""); }) request->set_reason(Get(words, "reason"));
}

}  // namespace

std::optional<std::string> Script::Request(const Words& words) {
  const std::string& verb = words.at(0);
  if (verb == "submit") return Submit(words);
  if (verb == "cancel") return Cancel(words);
  if (verb == "hold") return Control(words, v1::JOB_ACTION_HOLD);
  if (verb == "release") return Control(words, v1::JOB_ACTION_RELEASE);
  if (verb == "suspend") return Control(words, v1::JOB_ACTION_SUSPEND);
  if (verb == "resume") return Control(words, v1::JOB_ACTION_RESUME);
  if (verb == "requeue") return Control(words, v1::JOB_ACTION_REQUEUE);
  if (verb == "save") return Control(words, v1::JOB_ACTION_SAVE);
  if (verb == "scale") return Scale(words);
  if (verb == "queue") return SetQueue(words);
  if (verb == "pause-queue") return PauseQueue(words, true);
  if (verb == "resume-queue") return PauseQueue(words, false);
  if (verb == "ack") return Ack(words);
  if (verb == "drain") return Admission(words, v1::NODE_ADMISSION_DRAINING);
  if (verb == "cordon") return Admission(words, v1::NODE_ADMISSION_CORDONED);
  if (verb == "open") return Admission(words, v1::NODE_ADMISSION_OPEN);
  if (verb == "quarantine") return Quarantine(words, v1::QUARANTINE_COOLING);
  if (verb == "readmit") return Quarantine(words, v1::QUARANTINE_NONE);
  if (verb == "test") return TestNode(words);
  return std::nullopt;
}

std::string Script::Submit(const Words& words) {
  core::SubmitJob input{RequestToken(++last_token_), {}};
  SetCommon(words, &input.request);
  input.request.set_user(Get(words, "user"));
  ParseSpec(words, input.request.mutable_spec());
  return Step(input);
}

std::string Script::Cancel(const Words& words) {
  core::CancelJob input{RequestToken(++last_token_), {}};
  SetCommon(words, &input.request);
  input.request.set_job_id(Number(words.at(1)));
  input.request.set_array(Has(words, "array"));
  return Step(input);
}

std::string Script::Control(const Words& words, v1::JobAction action) {
  core::ControlJob input{RequestToken(++last_token_), {}};
  SetCommon(words, &input.request);
  input.request.set_job_id(Number(words.at(1)));
  input.request.set_action(action);
  input.request.set_user(Get(words, "user"));
  return Step(input);
}

std::string Script::Scale(const Words& words) {
  core::ScaleJob input{RequestToken(++last_token_), {}};
  SetCommon(words, &input.request);
  input.request.set_job_id(Number(words.at(1)));
  ParseMesh(words.at(2), input.request.mutable_mesh());
  return Step(input);
}

std::string Script::SetQueue(const Words& words) {
  core::SetQueue input{RequestToken(++last_token_), {}};
  SetCommon(words, &input.request);
  *input.request.mutable_queue() = ParseQueue(words);
  return Step(input);
}

std::string Script::PauseQueue(const Words& words, bool paused) {
  core::PauseQueue input{RequestToken(++last_token_), {}};
  SetCommon(words, &input.request);
  input.request.set_name(words.at(1));
  input.request.set_paused(paused);
  return Step(input);
}

std::string Script::Ack(const Words& words) {
  core::AckIncident input{RequestToken(++last_token_), {}};
  input.request.set_request_id(Get(words, "request"));
  input.request.set_validate_only(Has(words, "validate"));
  input.request.set_incident_id(Number(words.at(1)));
  input.request.set_user(Get(words, "user"));
  input.request.set_note(Get(words, "note"));
  return Step(input);
}

std::string Script::Admission(const Words& words, v1::NodeAdmission admission) {
  core::SetNodeAdmission input{RequestToken(++last_token_), {}};
  SetCommon(words, &input.request);
  input.request.set_node(words.at(1));
  input.request.set_admission(admission);
  return Step(input);
}

std::string Script::Quarantine(const Words& words, v1::Quarantine quarantine) {
  core::SetNodeQuarantine input{RequestToken(++last_token_), {}};
  SetCommon(words, &input.request);
  input.request.set_node(words.at(1));
  input.request.set_quarantine(quarantine);
  if (const std::string span = Get(words, "for"); !span.empty()) {
    input.request.set_cool_down_ms(
        static_cast<uint64_t>(absl::ToInt64Milliseconds(DurationFromText(span).value())));
  }
  return Step(input);
}

std::string Script::TestNode(const Words& words) {
  core::TestNode input{RequestToken(++last_token_), {}};
  SetCommon(words, &input.request);
  input.request.set_node(words.at(1));
  return Step(input);
}

}  // namespace muster::scenarios
