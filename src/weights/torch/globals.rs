//! The classes and functions that a checkpoint may name, and what each means here. Nothing else may be named.
//!
//! For tensors the list is that of `torch.load(weights_only=True)`. Beyond it are classes of mere data that
//! training leaves in its checkpoints beside the tensors: settings, NumPy scalars, paths, dates.

use safetensors::Dtype;

/// What a class or function of the list means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    /// `collections.OrderedDict` and other dictionaries.
    Dict,
    /// `torch._utils._rebuild_tensor`, `_v2` and `_v3`: makes a tensor of a storage.
    RebuildTensor,
    RebuildTensorV2,
    RebuildTensorV3,
    /// `torch._utils._rebuild_parameter` and `torch.nn.Parameter`: the tensor that is the first argument.
    Parameter,
    /// `torch._tensor._rebuild_from_type_v2`: calls its first argument with its third.
    RebuildFromType,
    /// Makes a tensor of a kind that is not read.
    RebuildUnusable(&'static str),
    /// `torch.Size`: the tuple that is its argument.
    Size,
    /// The class of a storage of these elements.
    Storage(Dtype),
    /// The class of a storage of bytes.
    UntypedStorage,
    /// A `torch.dtype`.
    Dtype(Dtype),
    /// Anything made by it is [`Value::Opaque`](super::value::Value::Opaque).
    Opaque,
}

/// What `module.name` means, if it is in the list.
pub(super) fn find(module: &str, name: &str) -> Option<Global> {
    let global = match (module, name) {
        ("collections", "OrderedDict" | "defaultdict") | ("builtins" | "__builtin__", "dict") => Global::Dict,
        ("torch._utils", name) => rebuild(name)?,
        ("torch._tensor" | "torch.tensor", "_rebuild_from_type" | "_rebuild_from_type_v2") => {
            Global::RebuildFromType
        }
        ("torch.nn.parameter" | "torch.nn", "Parameter" | "Buffer") => Global::Parameter,
        ("torch", "Size") => Global::Size,
        ("torch.storage", "UntypedStorage" | "_UntypedStorage") | ("torch", "UntypedStorage") => {
            Global::UntypedStorage
        }
        ("torch" | "torch.cuda" | "torch.storage", name) => torch(name)?,
        _ if is_data(module, name) => Global::Opaque,
        _ => return None,
    };
    Some(global)
}

fn rebuild(name: &str) -> Option<Global> {
    Some(match name {
        "_rebuild_tensor" => Global::RebuildTensor,
        "_rebuild_tensor_v2" => Global::RebuildTensorV2,
        "_rebuild_tensor_v3" => Global::RebuildTensorV3,
        "_rebuild_parameter" | "_rebuild_parameter_with_state" => Global::Parameter,
        "_rebuild_qtensor" => Global::RebuildUnusable("a quantized tensor"),
        "_rebuild_sparse_tensor" | "_rebuild_sparse_csr_tensor" => Global::RebuildUnusable("a sparse tensor"),
        "_rebuild_nested_tensor" => Global::RebuildUnusable("a nested tensor"),
        "_rebuild_meta_tensor_no_storage" => Global::RebuildUnusable("a tensor without values (meta)"),
        "_rebuild_wrapper_subclass" => Global::RebuildUnusable("a wrapped tensor"),
        "_rebuild_device_tensor_from_numpy" | "_rebuild_device_tensor_from_cpu_tensor" => {
            Global::RebuildUnusable("a tensor of another device")
        }
        _ => return None,
    })
}

/// Names of the module `torch`: storages, data types, and what else describes tensors.
fn torch(name: &str) -> Option<Global> {
    if let Some(kind) = name.strip_suffix("Storage") {
        return Some(match kind {
            "Double" => Global::Storage(Dtype::F64),
            "Float" => Global::Storage(Dtype::F32),
            "Half" => Global::Storage(Dtype::F16),
            "BFloat16" => Global::Storage(Dtype::BF16),
            "Long" => Global::Storage(Dtype::I64),
            "Int" => Global::Storage(Dtype::I32),
            "Short" => Global::Storage(Dtype::I16),
            "Char" => Global::Storage(Dtype::I8),
            "Byte" => Global::Storage(Dtype::U8),
            "Bool" => Global::Storage(Dtype::BOOL),
            "ComplexFloat" => Global::Storage(Dtype::C64),
            "ComplexDouble" | "QInt8" | "QUInt8" | "QInt32" | "QUInt4x2" | "QUInt2x4" | "Typed" => {
                Global::Opaque
            }
            _ => return None,
        });
    }
    Some(match name {
        "float64" | "double" => Global::Dtype(Dtype::F64),
        "float32" | "float" => Global::Dtype(Dtype::F32),
        "float16" | "half" => Global::Dtype(Dtype::F16),
        "bfloat16" => Global::Dtype(Dtype::BF16),
        "float8_e4m3fn" => Global::Dtype(Dtype::F8_E4M3),
        "float8_e5m2" => Global::Dtype(Dtype::F8_E5M2),
        "float8_e8m0fnu" => Global::Dtype(Dtype::F8_E8M0),
        "float8_e4m3fnuz" => Global::Dtype(Dtype::F8_E4M3FNUZ),
        "float8_e5m2fnuz" => Global::Dtype(Dtype::F8_E5M2FNUZ),
        "int64" | "long" => Global::Dtype(Dtype::I64),
        "int32" | "int" => Global::Dtype(Dtype::I32),
        "int16" | "short" => Global::Dtype(Dtype::I16),
        "int8" => Global::Dtype(Dtype::I8),
        "uint64" => Global::Dtype(Dtype::U64),
        "uint32" => Global::Dtype(Dtype::U32),
        "uint16" => Global::Dtype(Dtype::U16),
        "uint8" => Global::Dtype(Dtype::U8),
        "bool" => Global::Dtype(Dtype::BOOL),
        "complex64" | "cfloat" => Global::Dtype(Dtype::C64),
        "complex128" | "cdouble" | "complex32" | "chalf" | "qint8" | "quint8" | "qint32" | "quint4x2"
        | "quint2x4" => Global::Opaque,
        "device" | "Tensor" | "Generator" | "per_tensor_affine" | "per_channel_affine" | "strided"
        | "contiguous_format" | "channels_last" | "preserve_format" => Global::Opaque,
        _ => return None,
    })
}

/// Classes whose objects are data, and functions that make such objects.
fn is_data(module: &str, name: &str) -> bool {
    let names: &[&str] = match module {
        "builtins" | "__builtin__" => &[
            "bool",
            "bytearray",
            "bytes",
            "complex",
            "float",
            "frozenset",
            "int",
            "list",
            "long",
            "object",
            "range",
            "set",
            "slice",
            "str",
            "tuple",
            "unicode",
            "xrange",
        ],
        "_codecs" => &["encode"],
        "copyreg" | "copy_reg" => &["_reconstructor"],
        "argparse" => &["Namespace"],
        "types" => &["SimpleNamespace"],
        "collections" => &["Counter", "deque"],
        "datetime" => &["date", "datetime", "time", "timedelta", "timezone"],
        "decimal" => &["Decimal"],
        "fractions" => &["Fraction"],
        "uuid" => &["UUID"],
        "typing" => &["Any", "Dict", "List", "Optional", "Tuple", "Union"],
        "pathlib" | "pathlib._local" => {
            &["Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath", "WindowsPath"]
        }
        "numpy" => &[
            "bool",
            "bool_",
            "bytes_",
            "complex128",
            "complex64",
            "dtype",
            "float16",
            "float32",
            "float64",
            "int16",
            "int32",
            "int64",
            "int8",
            "ndarray",
            "str_",
            "uint16",
            "uint32",
            "uint64",
            "uint8",
        ],
        "numpy.core.multiarray" | "numpy._core.multiarray" => &["_reconstruct", "scalar"],
        "numpy.core.numeric" | "numpy._core.numeric" => &["_frombuffer"],
        "numpy.random._pickle" => &["__bit_generator_ctor", "__generator_ctor", "__randomstate_ctor"],
        "numpy.random._mt19937" => &["MT19937"],
        "numpy.random._pcg64" => &["PCG64"],
        "numpy.dtypes" => return name.ends_with("DType"),
        "torch.serialization" => &["_get_layout"],
        "torch.torch_version" => &["TorchVersion"],
        "torch.jit._pickle" => {
            &["build_boollist", "build_doublelist", "build_intlist", "build_tensorlist", "restore_type_tag"]
        }
        "yacs.config" | "fvcore.common.config" => &["CfgNode"],
        "easydict" => &["EasyDict"],
        "addict" | "addict.addict" => &["Dict"],
        "ml_collections.config_dict.config_dict" => &["ConfigDict"],
        "mmcv.utils.config" | "mmengine.config.config" => &["Config", "ConfigDict"],
        "pytorch_lightning.utilities.parsing" | "lightning.pytorch.utilities.parsing" => &["AttributeDict"],
        "lightning_fabric.utilities.data" | "lightning.fabric.utilities.data" => &["AttributeDict"],
        "pytorch_lightning.callbacks.model_checkpoint" => &["ModelCheckpoint"],
        "pytorch_lightning.callbacks.early_stopping" => &["EarlyStopping"],
        // Nodes of a configuration tree, of many classes.
        _ => return module == "omegaconf" || module.starts_with("omegaconf."),
    };
    names.contains(&name)
}
