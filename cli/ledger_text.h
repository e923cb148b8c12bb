// The ledger for people: where slot-seconds went, what failures cost.
#pragma once

#include <string>

#include "muster/v1/ledger.pb.h"

namespace muster::cli {

// Kinds, the total, and causes, dearest first. `all`: also kinds nothing went into.
std::string LedgerText(const v1::Ledger& ledger, bool all);

// For the description of a job: goodput, and a line per kind.
std::string LedgerLines(const v1::Ledger& ledger);

}  // namespace muster::cli
