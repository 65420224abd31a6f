/// The JSON Schema (draft-07) of `purser.yaml`, by which editors complete and check it.
///
/// It knows shapes, not meanings: that a dependency exists, or that a graph has no cycle, ``PipelineFile`` tells.
public enum PipelineSchema {
  /// The schema.
  public static let json = #"""
    {
      "$schema": "http://json-schema.org/draft-07/schema#",
      "title": "Purser pipeline file",
      "description": "The tasks of a pipeline, and the graphs in which they run.",
      "type": "object",
      "required": ["tasks"],
      "additionalProperties": false,
      "patternProperties": {
        "^x-": { "description": "Not read: a place for anchors that are merged in elsewhere." }
      },
      "properties": {
        "settings": { "$ref": "#/definitions/settings" },
        "config": { "$ref": "#/definitions/config" },
        "graphs": {
          "description": "Which tasks run, and after which, by the graph's name. A file without graphs has one, made \#
            of all tasks and their 'after'.",
          "type": ["object", "null"],
          "minProperties": 1,
          "propertyNames": { "$ref": "#/definitions/name" },
          "additionalProperties": { "$ref": "#/definitions/graph" }
        },
        "tasks": {
          "description": "What there is to run, by the task's name.",
          "type": "object",
          "minProperties": 1,
          "propertyNames": { "$ref": "#/definitions/name" },
          "additionalProperties": { "$ref": "#/definitions/task" }
        }
      },
      "definitions": {
        "name": {
          "description": "A name: no control characters, no white space around it.",
          "type": "string",
          "pattern": "^[^\\s\\u0000-\\u001f\\u007f]([^\\u0000-\\u001f\\u007f]*[^\\s\\u0000-\\u001f\\u007f])?$",
          "maxLength": 1000
        },
        "text": {
          "description": "A text. Numbers and truth values are taken as they are written.",
          "type": ["string", "number", "boolean", "null"],
          "minLength": 1
        },
        "texts": {
          "description": "A text, or a list of texts.",
          "anyOf": [
            { "$ref": "#/definitions/text" },
            {
              "type": "array",
              "items": { "type": ["string", "number", "boolean"], "minLength": 1 }
            }
          ]
        },
        "names": {
          "description": "Names separated by commas, or a list of them.",
          "anyOf": [
            { "type": ["string", "null"], "pattern": "^\\s*[^,\\s][^,]*(,\\s*[^,\\s][^,]*)*$" },
            { "type": "array", "items": { "type": "string", "minLength": 1 }, "maxItems": 100 }
          ]
        },
        "dependencies": {
          "description": "Nothing, a task, or a list of tasks.",
          "anyOf": [
            { "type": ["string", "number", "boolean", "null"], "minLength": 1 },
            { "type": "array", "items": { "type": ["string", "number", "boolean"], "minLength": 1 } }
          ]
        },
        "mode": { "enum": ["raw", "normalized", "function", null] },
        "arguments": {
          "description": "Named values. {ref: TASK} stands for the data that a task returned, which has to be a \#
            dependency.",
          "type": ["object", "null"]
        },
        "config": {
          "description": "Named values that functions of 'file' tasks ask for by the names of their parameters. A \#
            graph's own are laid over the file's.",
          "type": ["object", "null"]
        },
        "settings": {
          "description": "What holds for the whole file.",
          "type": ["object", "null"],
          "additionalProperties": false,
          "properties": {
            "cache_namespace": {
              "description": "The name under which results are recorded, in place of the graph's: graphs that share \#
                it share results.",
              "$ref": "#/definitions/text"
            },
            "source_roots": {
              "description": "Folders in which Python looks for modules (as by PYTHONPATH), beside those that are \#
                found: the folder of the file, the root, and those of pyproject.toml with their src.",
              "$ref": "#/definitions/texts"
            },
            "storage_keys": {
              "description": "Storage keys by branch: a branch's name, or a pattern such as 'feature/*' ('**' for any \#
                number of folders). A name goes first, then the first pattern that matches.",
              "type": ["object", "null"],
              "additionalProperties": { "$ref": "#/definitions/text" }
            },
            "code": {
              "description": "Files, folders or globs of code of every task, such as a lock file.",
              "$ref": "#/definitions/texts"
            },
            "code_digest": {
              "description": "What of Python files counts, for tasks that do not say.",
              "$ref": "#/definitions/mode"
            },
            "snapshot_every": {
              "description": "How often a run takes a snapshot of its branch while it goes on: a time such as 90s, 5m, \#
                1h30m, or a number of seconds. Without it, only at its end.",
              "anyOf": [
                { "type": "string", "pattern": "^([0-9]+(\\.[0-9]*)?(ms|s|m|h|d))+$" },
                { "type": "number", "exclusiveMinimum": 0 },
                { "type": "null" }
              ]
            },
            "py_tasks_dir": {
              "description": "Folders in which a Python 'file' is looked for, after the root.",
              "$ref": "#/definitions/texts"
            },
            "r_tasks_dir": {
              "description": "Folders in which an R 'file' is looked for, after the root.",
              "$ref": "#/definitions/texts"
            },
            "flows_dir": { "description": "kptn's; changes nothing here." },
            "flow_type": { "description": "kptn's; changes nothing here." },
            "db": { "description": "kptn's; changes nothing here." },
            "duckdb_tasks_dir": { "description": "kptn's; changes nothing here." },
            "imports_slot": { "description": "kptn's; changes nothing here." },
            "storage_key": { "description": "kptn's; changes nothing here." },
            "branch": { "description": "kptn's; changes nothing here." },
            "logging": { "description": "kptn's; changes nothing here." }
          }
        },
        "graph": {
          "description": "Which tasks run, and after which.",
          "type": "object",
          "additionalProperties": false,
          "anyOf": [{ "required": ["tasks"] }, { "required": ["extends"] }],
          "properties": {
            "extends": {
              "description": "Graphs whose tasks come first. Where several define a task, the first counts, and a \#
                parent before this graph.",
              "anyOf": [
                { "type": "null" },
                { "$ref": "#/definitions/parent" },
                { "type": "array", "items": { "$ref": "#/definitions/parent" } }
              ]
            },
            "config": { "$ref": "#/definitions/config" },
            "tasks": {
              "description": "Tasks, each with what it comes after.",
              "type": ["object", "null"],
              "propertyNames": { "$ref": "#/definitions/name" },
              "additionalProperties": { "$ref": "#/definitions/node" }
            }
          }
        },
        "parent": {
          "description": "A graph, or a graph with arguments for its tasks.",
          "anyOf": [
            { "type": ["string", "number", "boolean"], "minLength": 1 },
            {
              "type": "object",
              "required": ["graph"],
              "additionalProperties": false,
              "properties": {
                "graph": { "description": "The graph that is extended.", "$ref": "#/definitions/text" },
                "args": {
                  "description": "Arguments by task, laid over those that the task has in the extended graph.",
                  "type": ["object", "null"],
                  "additionalProperties": { "$ref": "#/definitions/arguments" }
                }
              }
            }
          ]
        },
        "node": {
          "description": "What a task comes after, and its arguments in this graph.",
          "anyOf": [
            { "$ref": "#/definitions/dependencies" },
            {
              "type": "object",
              "additionalProperties": false,
              "properties": {
                "deps": { "description": "What it comes after.", "$ref": "#/definitions/dependencies" },
                "args": {
                  "description": "Arguments in this graph, laid over the task's own.",
                  "$ref": "#/definitions/arguments"
                }
              }
            }
          ]
        },
        "task": {
          "description": "A step: what it runs, what it is made from, and what it makes. Paths are relative to the \#
            root.",
          "type": "object",
          "additionalProperties": false,
          "oneOf": [{ "required": ["file"] }, { "required": ["command"] }],
          "properties": {
            "file": {
              "description": "A Python file and the function in it that is called ('clean.py:main'; default: the \#
                task's name), or an R script.",
              "type": "string",
              "pattern": "\\.([pP][yY][wW]?|[rR])\\s*(:[^:]*)?$",
              "examples": ["src/clean.py", "src/clean.py:main", "src/plot.R"]
            },
            "command": {
              "description": "A text runs under 'sh -eu -c'; a list is a program and its arguments, started without \#
                a shell. ${NAME} of an item that is mapped over is its value.",
              "anyOf": [
                { "$ref": "#/definitions/text" },
                { "type": "array", "minItems": 1, "items": { "type": ["string", "number", "boolean"] } }
              ]
            },
            "after": {
              "description": "What it comes after; for files without 'graphs'.",
              "$ref": "#/definitions/dependencies"
            },
            "code": {
              "description": "Files, folders or globs of code, beside 'file'.",
              "$ref": "#/definitions/texts"
            },
            "inputs": {
              "description": "Files, folders or globs that are read; or auto: what the command is seen to read, which \#
                traces it.",
              "$ref": "#/definitions/texts"
            },
            "outputs": {
              "description": "Files, folders or globs that are made. ${NAME} is an item's value, and a wildcard \#
                where no item has the name.",
              "$ref": "#/definitions/texts"
            },
            "exclude": {
              "description": "Globs of what folders and globs leave out.",
              "$ref": "#/definitions/texts"
            },
            "env": {
              "description": "Names of environment variables that matter.",
              "$ref": "#/definitions/texts"
            },
            "tools": {
              "description": "Programs that matter, looked up on PATH.",
              "$ref": "#/definitions/texts"
            },
            "args": {
              "description": "Keyword arguments of the function, or values that matter to the command.",
              "$ref": "#/definitions/arguments"
            },
            "cache_result": {
              "description": "Whether the result is kept as the task's data, for tasks that come after.",
              "type": ["boolean", "null"]
            },
            "iterable_item": {
              "description": "The names that the parts of each element of the result have for tasks that map over it.",
              "$ref": "#/definitions/names"
            },
            "map_over": {
              "description": "Runs once for each item of a dependency's result that has these names.",
              "$ref": "#/definitions/names"
            },
            "bundle_size": {
              "description": "Items per process.",
              "type": ["integer", "null"],
              "minimum": 1
            },
            "group_size": {
              "description": "Items in flight.",
              "type": ["integer", "null"],
              "minimum": 1
            },
            "prefix_args": {
              "description": "Words before the interpreter of 'file'.",
              "$ref": "#/definitions/text"
            },
            "cli_args": {
              "description": "Words behind 'file'. ${NAME} is an item's value.",
              "$ref": "#/definitions/text"
            },
            "logs": {
              "description": "A file to which what is printed is written too. ${NAME} is an item's value.",
              "$ref": "#/definitions/text"
            },
            "tags": { "description": "Free words.", "$ref": "#/definitions/texts" },
            "compute": {
              "description": "What the task needs elsewhere, such as cpu and memory; changes nothing here.",
              "type": ["object", "null"]
            },
            "timeout": {
              "description": "How long one attempt may take: 90s, 5m, 1h30m, or a number of seconds.",
              "anyOf": [
                { "type": "string", "pattern": "^([0-9]+(\\.[0-9]*)?(ms|s|m|h|d))+$" },
                { "type": "number", "exclusiveMinimum": 0 },
                { "type": "null" }
              ]
            },
            "retries": {
              "description": "How often it is tried again after a failure.",
              "type": ["integer", "null"],
              "minimum": 0,
              "maximum": 1000
            },
            "priority": {
              "description": "Higher goes first among tasks that are ready.",
              "type": ["integer", "null"],
              "minimum": -1000000,
              "maximum": 1000000
            },
            "pure": {
              "description": "Whether it has no effect but its outputs, its data and what it prints: a test, a lint. \#
                Its success is then valid wherever it was made.",
              "type": ["boolean", "null"]
            },
            "keep_outputs": {
              "description": "Whether outputs are left in place before it runs.",
              "type": ["boolean", "null"]
            },
            "code_digest": {
              "description": "What of its Python files counts: raw, every byte; normalized, all but comments, \#
                docstrings and layout; function, of that the function that is called and what it reaches.",
              "$ref": "#/definitions/mode"
            },
            "depfile": {
              "description": "A dep file that the command writes (Make's syntax, as 'gcc -MMD -MF'): an output, and \#
                what it names is code of the task.",
              "$ref": "#/definitions/text"
            },
            "trace": {
              "description": "Whether its command is followed, so that what it uses undeclared is told and later hits are \#
                refuted where that has changed; strict: a run that uses undeclared files is not stored.",
              "enum": [true, false, "strict", null]
            }
          }
        }
      }
    }
    """#
}
