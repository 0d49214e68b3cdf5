/* `jni.h` of JDKs includes it and uses nothing of it. */
