// What a run did, as a number and, when wanted, as text.
//
// Every event is folded into the hash: two runs of one seed must end with the same. The text costs
// more than the run and is made only when tracing.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "sim/agenda.h"

namespace muster::sim {

class Trace {
 public:
  explicit Trace(const Agenda* agenda, std::FILE* out) : agenda_(agenda), out_(out) {}

  bool on() const { return out_ != nullptr; }
  uint64_t hash() const { return hash_; }

  void Mark(uint64_t kind, uint64_t a = 0, uint64_t b = 0) {
    Fold(static_cast<uint64_t>(agenda_->now()));
    Fold(kind);
    Fold(a);
    Fold(b);
  }
  void Fold(std::string_view bytes) {
    for (const char byte : bytes) hash_ = (hash_ ^ static_cast<unsigned char>(byte)) * kPrime;
  }
  // Only when on(): `12.345678 n2  shim 7.1: rank 0 exited`.
  void Say(const std::string& who, const std::string& text) {
    std::fprintf(out_, "%13.6f %-10s %s\n", static_cast<double>(agenda_->now()) / kSecond,
                 who.c_str(), text.c_str());
  }

 private:
  static constexpr uint64_t kPrime = 0x100000001B3u;
  void Fold(uint64_t word) { hash_ = (hash_ ^ word) * kPrime ^ (hash_ >> 29); }

  const Agenda* const agenda_;
  std::FILE* const out_;
  uint64_t hash_ = 0xCBF29CE484222325u;
};

}  // namespace muster::sim
