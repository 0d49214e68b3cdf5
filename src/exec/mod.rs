//! Execution: the context (level and thread pool), `parallel_for`, scratch memory.
