// The words of a scenario's command line, and the messages they stand for
// (tests/scenarios/README.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/check.h"
#include "muster/v1/job.pb.h"
#include "muster/v1/queue.pb.h"
#include "muster/v1/worker_stream.pb.h"

namespace muster::scenarios {

using Words = std::vector<std::string>;

// "a b="c d"" → {a, b=c d}
Words Split(const std::string& line);
// The value of `key=...`, or the fallback.
std::string Get(const Words& words, const std::string& key, const std::string& fallback = "");
bool Has(const Words& words, const std::string& word);
uint64_t Number(const std::string& text);
// "a,b" → {a, b}
Words List(const std::string& text, char separator = ',');

template <typename Message>
void SetKey(Message* message, const std::string& key) {  // "1.2" = attempt 2 of job 1
  const size_t dot = key.find('.');
  CHECK(dot != std::string::npos, "\"{}\" is not JOB.ATTEMPT", key);
  message->set_job_id(Number(key.substr(0, dot)));
  message->set_attempt(Number(key.substr(dot + 1)));
}

// JOB.ATTEMPT [0-1=FATE ...] [phase= step= first= of= spent= line=] [stopped]
v1::AttemptReport ParseReport(const Words& words, uint64_t update);
v1::CheckpointRef ParseRef(const Words& words);
// "data:2,tensor:2@node"
void ParseMesh(const std::string& text, google::protobuf::RepeatedPtrField<v1::Axis>* mesh);
// "zone:a,disk:ssd"
void ParseLabels(const std::string& text, google::protobuf::RepeatedPtrField<v1::Label>* labels);
// A job that passes every check, with what the words say about it.
void ParseSpec(const Words& words, v1::JobSpec* spec);
v1::QueueSpec ParseQueue(const Words& words);

}  // namespace muster::scenarios
