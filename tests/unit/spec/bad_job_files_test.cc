// Every way a job file can be wrong in shape, with its exact message.
#include <gtest/gtest.h>

#include "job_text.h"
#include "spec/yaml.h"

namespace muster::spec {
namespace {

struct Case {
  const char* name;
  std::string text;
  const char* message;
};

TEST(BadJobFiles, SayLineFindingAndRemedy) {
  const Case cases[] = {
      {"a mistyped field names the nearest", With("optimizer:", "optimzer:"),
       "gpt.yaml:10: unknown field \"optimzer\" in train; did you mean \"optimizer\"?"},
      {"a field of nowhere lists the known ones", With("keep: 3", "colour: 3"),
       "gpt.yaml:13: unknown field \"colour\" in checkpoint; known: path, every_steps, keep, "
       "init_from, ram_every_steps, every, keep_every_steps, ram_replicas, compare_every_steps, "
       "keep_best, ram_parity"},
      {"a mistyped field at the top", With("resources", "resorces"),
       "gpt.yaml:5: unknown field \"resorces\" in the job; did you mean \"resources\"?"},
      {"swapped letters are one edit", With("name:", "nmae:"),
       "gpt.yaml:3: unknown field \"nmae\" in the job; did you mean \"name\"?"},
      {"text for a whole number", With("steps: 200", "steps: many"),
       "gpt.yaml:11: train.steps: found the text \"many\", want a whole number, 0 or more"},
      {"a quoted number", With("steps: 200", "steps: \"200\""),
       "gpt.yaml:11: train.steps: found the text \"200\", want a whole number, 0 or more"},
      {"a negative number", With("layers: 4", "layers: -4"),
       "gpt.yaml:7: train.model.layers: found the number -4, want a whole number from 0 to "
       "4294967295"},
      {"a number too large", With("layers: 4", "layers: 4294967296"),
       "gpt.yaml:7: train.model.layers: found the number 4294967296, want a whole number from 0 "
       "to 4294967295"},
      {"a fraction for a whole number", With("steps: 200", "steps: 2.5"),
       "gpt.yaml:11: train.steps: found the number 2.5, want a whole number, 0 or more"},
      {"text for a number", With("lr: 1.0e-3", "lr: fast"),
       "gpt.yaml:10: train.optimizer.lr: found the text \"fast\", want a number such as 0.1 or "
       "1.0e-3"},
      {"not a number", With("lr: 1.0e-3", "lr: nan"),
       "gpt.yaml:10: train.optimizer.lr: found the number nan, want a number such as 0.1 or "
       "1.0e-3"},
      {"yes for true", With("  steps: 200", "  zero: yes\n  steps: 200"),
       "gpt.yaml:11: train.zero: found the text \"yes\", want true or false"},
      {"an unknown word", With("collective: mpi", "collective: gloo"),
       "gpt.yaml:12: train.collective: found the text \"gloo\", want mpi"},
      {"an unspecified word", With("collective: mpi", "collective: unspecified"),
       "gpt.yaml:12: train.collective: found the text \"unspecified\", want mpi"},
      {"a list for a map", With("data: {path: data/stdlib}", "data: [data/stdlib]"),
       "gpt.yaml:8: train.data: found a list, want a map of fields"},
      {"a map for text", With("name: gpt-stdlib", "name: {a: b}"),
       "gpt.yaml:3: name: found a map, want text (UTF-8)"},
      {"a key without value", With("steps: 200", "steps:"),
       "gpt.yaml:11: train.steps has no value; give one or remove the line"},
      {"a mesh that is a list", With("{data: 2, tensor: 2}", "[2, 2]"),
       "gpt.yaml:4: mesh: found a list, want a map of axis sizes such as {data: 2, tensor: 2}"},
      {"an axis that is text", With("tensor: 2", "tensor: two"),
       "gpt.yaml:4: mesh.tensor: found the text \"two\", want a size, or {size: 2, within: node}"},
      {"an unknown field in an axis", With("tensor: 2", "tensor: {sise: 2}"),
       "gpt.yaml:4: unknown field \"sise\" in mesh.tensor; did you mean \"size\"?"},
      {"an unknown domain", With("tensor: 2", "tensor: {size: 2, within: room}"),
       "gpt.yaml:4: mesh.tensor.within: found the text \"room\", want node or nvlink or rack or "
       "pod"},
      {"a renamed axis", With("tensor: 2", "tensor: {size: 2, name: other}"),
       "gpt.yaml:4: mesh.tensor: \"name\" inside an axis; its key is its name"},
      {"a wrong version", With("muster/v1", "muster/v2"),
       "gpt.yaml:1: apiVersion: found the text \"muster/v2\", want muster/v1"},
      {"no kind", With("kind: TrainJob\n", ""),
       "gpt.yaml:1: no kind; add the line \"kind: TrainJob\""},
      {"a key twice", With("  steps: 200", "  steps: 200\n  steps: 300"),
       "gpt.yaml:12: key \"steps\" again (first in line 11); keep one of the two"},
      {"an alias", "a: &x 1\nb: *x\n", "gpt.yaml:1: an anchor (&name); write the value out"},
      {"a merge key", "<<: {a: 1}\n", "gpt.yaml:1: a merge key (<<); write the keys out"},
      {"a tag", "a: !!binary aGk=\n", "gpt.yaml:1: the tag tag:yaml.org,2002:binary; leave it out"},
      {"a list as a key", "? [a]\n: b\n", "gpt.yaml:1: a list as a key; a key is a word"},
      {"a second document", With("name: gpt-stdlib", "name: gpt-stdlib\n---\na: 1"),
       "gpt.yaml:5: a second document; one file holds one job"},
      {"an unclosed bracket", With("{data: 2, tensor: 2}", "{data: 2, tensor: 2"),
       "gpt.yaml:5: end of map flow not found"},
      {"nothing", "", "gpt.yaml: empty; see configs/gpt-stdlib.yaml for a complete job"},
      {"one word", "hello",
       "gpt.yaml:1: found the text \"hello\", want a job (apiVersion, kind, name, mesh, train, "
       "...)"},
      {"zero bytes", std::string("a: \0b", 5), "gpt.yaml: holds zero bytes; a job file is text"},
      {"both kinds of work", std::string(kGoodJob) + "program: {command: [a]}\n",
       "gpt.yaml:15: both train and program; a job is one or the other, remove one"},
      {"no work", "apiVersion: muster/v1\nkind: TrainJob\nname: a\n",
       "gpt.yaml:1: neither train nor program; say what the job runs"},
      {"a command that is text", "apiVersion: muster/v1\nkind: TrainJob\nprogram: {command: ls}\n",
       "gpt.yaml:3: program.command: found the text \"ls\", want a list such as [python3, "
       "train.py]"},
      {"a command with a list inside",
       "apiVersion: muster/v1\nkind: TrainJob\nprogram: {command: [ls, [a]]}\n",
       "gpt.yaml:3: program.command[1]: found a list, want text (UTF-8)"},
      {"an environment that is a list",
       "apiVersion: muster/v1\nkind: TrainJob\nprogram: {command: [ls], env: [A=1]}\n",
       "gpt.yaml:3: program.env: found a list, want a map such as {OMP_NUM_THREADS: 4}"},
      {"an environment value that is a map",
       "apiVersion: muster/v1\nkind: TrainJob\nprogram: {command: [ls], env: {A: {}}}\n",
       "gpt.yaml:3: program.env.A: found a map, want text (UTF-8; \"\" for an empty one)"},
  };
  for (const Case& c : cases) {
    const auto spec = ParseJobFile(c.text, "gpt.yaml");
    ASSERT_FALSE(spec.ok()) << c.name;
    EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument) << c.name;
    EXPECT_EQ(std::string(spec.status().message()), c.message) << c.name;
  }
}

TEST(BadJobFiles, ShowEveryProblemInFileOrder) {
  std::string text = With("steps: 200", "steps: many");
  text.replace(text.find("resources"), 9, "resorces");
  text.replace(text.find("keep"), 4, "kepe");
  EXPECT_EQ(std::string(ParseJobFile(text, "gpt.yaml").status().message()),
            "gpt.yaml:5: unknown field \"resorces\" in the job; did you mean \"resources\"?\n"
            "gpt.yaml:11: train.steps: found the text \"many\", want a whole number, 0 or more\n"
            "gpt.yaml:13: unknown field \"kepe\" in checkpoint; did you mean \"keep\"?");
}

TEST(BadJobFiles, ImpossibleValuesCarryTheirLine) {
  std::string text = With("heads: 8", "heads: 6");
  text.replace(text.find("gpt-stdlib"), 10, "GPT");
  const auto spec = ParseAndValidateJobFile(text, "gpt.yaml");
  EXPECT_EQ(std::string(spec.status().message()),
            "gpt.yaml:3: name: \"GPT\" is not a job name; use a-z 0-9 -, a letter first, no - "
            "last, at most 63 characters\n"
            "gpt.yaml:7: train.model.d_model: 256 is not a multiple of heads=6; change one of the "
            "two\n"
            "gpt.yaml:7: train.model.kv_heads: 4 does not divide heads=6; every key/value head "
            "serves the same number of heads");
}

TEST(BadJobFiles, AMissingFieldPointsAtTheNearestKeyAround) {
  const auto spec = ParseAndValidateJobFile(With(", context: 256", ""), "gpt.yaml");
  EXPECT_EQ(std::string(spec.status().message()),
            "gpt.yaml:7: train.model.context: missing or 0; give 1 to 1048576");
}

TEST(BadJobFiles, AreRefusedBeforeTheyCost) {
  EXPECT_EQ(std::string(ParseJobFile(std::string(300'000, 'a'), "f").status().message()),
            "f: 300000 bytes; a job file is at most 262144");
  EXPECT_EQ(std::string(ParseJobFile(std::string(200'000, '['), "f").status().message()),
            "f:1: nesting deeper than 16 levels; a job file needs 4");
  EXPECT_EQ(std::string(ParseJobFile(std::string(200'000, '{'), "f").status().message()),
            "f:1: nesting deeper than 16 levels; a job file needs 4");
  std::string wide = "a: [";
  for (int i = 0; i < 60'000; ++i) wide += "1, ";
  EXPECT_EQ(std::string(ParseJobFile(wide + "1]", "f").status().message()),
            "f:1: more than 20000 values");
  const auto latin = ParseJobFile(With("data/stdlib", "\"\\xff\""), "f");
  EXPECT_TRUE(latin.ok()) << latin.status();  // an escape is a code point, and becomes UTF-8
}

}  // namespace
}  // namespace muster::spec
