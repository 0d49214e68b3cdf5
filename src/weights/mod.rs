//! Reading weights: model directories and safetensors files, tensor lookup with clear errors.
