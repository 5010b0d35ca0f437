"""What keys and values of old .ini files are called in a TOML: the whole table, to read and to extend."""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """Where a key of an .ini stands in a TOML, and what its value is: int, float, bool, size, str or a vocabulary."""

    table: str
    key: str
    kind: str


_KEYS: dict[Place, str] = {
    Place("training", "epochs", "int"): "epoch epochs num_epoch num_epochs n_epochs max_epoch max_epochs",
    Place("training", "batch_size", "int"): "batch_size batchsize batch bs train_batch_size",
    Place("training", "workers", "int"): "num_workers workers n_workers num_worker",
    Place("training", "seed", "int"): "seed random_seed manual_seed random_state",
    Place("training", "accumulation_steps", "int"):
        "accumulation_steps accumulate grad_accum gradient_accumulation_steps accumulate_grad_batches",
    Place("training", "max_grad_norm", "float"): "max_grad_norm grad_clip clip_grad clip_grad_norm gradient_clip_val",
    Place("training", "device", "device"): "device gpu cuda use_gpu use_cuda",
    Place("training", "precision", "precision"): "amp use_amp fp16 mixed_precision half",
    Place("inference", "batch_size", "int"):
        "valid_batch_size val_batch_size test_batch_size eval_batch_size inference_batch_size",
    Place("images", "size", "size"): "img_size image_size imgsize input_size size resize resolution",
    Place("images", "height", "int"): "height img_height image_height img_h",
    Place("images", "width", "int"): "width img_width image_width img_w",
    Place("images", "channels", "int"): "channels in_channels num_channels in_chans",
    Place("optimizer", "name", "optimizer"): "optimizer optim opt",
    Place("optimizer", "lr", "float"): "lr lr_rate learning_rate learningrate base_lr init_lr initial_lr",
    Place("optimizer", "weight_decay", "float"): "weight_decay wd l2 l2_reg",
    Place("optimizer", "momentum", "float"): "momentum",
    Place("scheduler", "name", "scheduler"): "scheduler lr_scheduler sched",
    Place("scheduler", "every", "int"): "lr_decay_step step_size lr_step decay_step",
    Place("scheduler", "gamma", "float"): "gamma lr_gamma lr_decay lr_decay_rate",
    Place("loss", "name", "loss"): "criterion loss loss_fn loss_function",
    Place("loss", "label_smoothing", "float"): "label_smoothing smoothing",
    Place("metric", "name", "metric"): "metric eval_metric score",
    Place("model", "backbone", "model"): "model backbone arch architecture net network model_name encoder",
    Place("model", "pretrained", "bool"): "pretrained use_pretrained",
    Place("model", "drop_rate", "float"): "dropout drop_rate dropout_rate",
    Place("folds", "n", "int"): "n_folds num_folds k_fold kfold k_folds n_splits folds",
    Place("folds", "share", "float"): "val_ratio valid_ratio val_size valid_size val_split",
    Place("competition", "root", "str"): "data_path data_dir data_root root root_dir dataset_path dataset_dir data",
    Place("dataset", "train", "str"): "train_dir train_path train_root train_folder",
    Place("dataset", "test", "str"): "test_dir test_path test_root test_folder eval_dir",
}  # fmt: skip
KEYS: dict[str, Place] = {name: place for place, names in _KEYS.items() for name in names.split()}

_VALUES: dict[str, dict[str, str]] = {
    "optimizer": {"sgd": "sgd", "adam": "adam", "adamw": "adamw", "rmsprop": "rmsprop"},
    "scheduler": {
        "cosine": "cosine cosineannealinglr cosineannealing cosine_annealing",
        "step": "step steplr step_lr",
        "one_cycle": "one_cycle onecycle onecyclelr",
        "plateau": "plateau reducelronplateau reduce_on_plateau",
        "none": "constant fixed",
    },
    "loss": {
        "cross_entropy": "cross_entropy crossentropy crossentropyloss ce celoss",
        "focal": "focal focalloss focal_loss",
        "soft_f1": "f1 f1loss f1_loss soft_f1",
        "bce": "bce bcewithlogits bcewithlogitsloss bce_with_logits",
        "mse": "mse mseloss l2",
    },
    "metric": {
        "accuracy": "accuracy acc top1",
        "macro_f1": "f1 f1_macro macro_f1 f1score f1_score",
        "roc_auc": "auc roc_auc auroc",
        "log_loss": "log_loss logloss",
        "rmse": "rmse",
        "kappa": "qwk kappa quadratic_weighted_kappa",
    },
}
VALUES: dict[str, dict[str, str]] = {
    kind: {old: new for new, names in words.items() for old in names.split()} for kind, words in _VALUES.items()
}

# Keys without a place in a TOML, and why.
NOT_NEEDED: dict[str, str] = {
    name: reason
    for names, reason in {
        "num_classes n_classes classes num_class": "not needed: the classes are read from the labels",
        "log_path log_dir save_path save_dir output_dir out_dir model_dir checkpoint_dir ckpt_dir result_path":
            "not needed: each run has a folder below submissions/",
        "log_interval print_freq print_every verbose": "not needed: every epoch is logged",
        "shuffle": "not needed: training rows are shuffled, others never; see [sampler]",
        "pin_memory drop_last persistent_workers": "not needed: set for you; see [training] in docs/toml.md",
        "patience early_stop early_stopping early_stop_patience":
            'write [[callbacks]] name = "early_stopping", patience_epochs = ..., beside "best_checkpoint"',
        "train_csv train_file csv_path label_path labels": 'write [dataset] name = "csv", train = ...',
        "test_csv test_file": 'write [dataset] name = "csv", test = ...',
        "augmentation transform transforms aug": "write [[transforms]]; `compete options transforms`",
        "debug": "write --set training.epochs=1 on the command line",
        "mean std": "write [images] mean and std, lists of a value per channel; by default they are the model's own",
    }.items()
    for name in names.split()
}  # fmt: skip
