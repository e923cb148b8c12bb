// Columns of text for people: header in capitals, two spaces between, no trailing blanks.
#pragma once

#include <string>
#include <vector>

namespace muster::cli {

class Table {
 public:
  explicit Table(std::vector<std::string> header);

  // As many cells as the header has; a CHECK otherwise. Control characters become '?', so that no
  // text from elsewhere can play with the terminal.
  void AddRow(std::vector<std::string> cells);

  std::string Text() const;  // with newlines; the header alone when there are no rows

 private:
  std::vector<std::vector<std::string>> rows_;  // first is the header
};

}  // namespace muster::cli
