/* The model and the picture, as they lie in the repository. */
    .section .rodata
.macro file name, path
    .globl \name, \name\()_end
    .balign 16
\name:
    .incbin "\path"
\name\()_end:
.endm
    file config, "../../demo/clip-nano/config.json"
    file preprocessor, "../../demo/clip-nano/preprocessor_config.json"
    file tokenizer, "../../demo/clip-nano/tokenizer.json"
    file model, "../../demo/clip-nano/model.safetensors"
    file picture, "../strawberry.ppm"
    .section .note.GNU-stack, "", @progbits
