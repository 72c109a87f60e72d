"""CIFAR-10 out of folders of each form and through Hugging Face, on made-up images in the published
formats."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from bench.schema import Task
from suites.tasks import cifar10, huggingface
from suites.tasks.cifar10 import load
from suites.tasks.cifar10_files import CLASSES, TEST_FILE, TRAIN_FILES, read_records
from suites.tasks.data import DataMissing
from suites.tasks.rows_images import IMAGES as IMAGES_ROWS

TASK = Task(
    name="cifar10",
    title="",
    architecture="patch_classifier",
    target="suites.tasks.cifar10:load",
    metric="accuracy",
    width=32,
    heads=2,
    max_length=64,
    batch=32,
    steps=3,
    learning_rates=(0.001,),
)
IMAGES = np.random.default_rng(0).integers(0, 256, (42, 32, 32, 3)).astype(np.uint8)
LABELS = np.arange(42) % 10


def of_folder(folder: Path, **settings: bool | int | float | str) -> Task:
    return dataclasses.replace(TASK, settings={"folder": str(folder), **settings})


def write_records(path: Path, chosen: slice) -> None:
    """The published format: the label's byte, then red, green and blue, each row by row."""
    planes = IMAGES[chosen].transpose(0, 3, 1, 2).reshape(-1, 3072)
    path.write_bytes(np.concatenate([LABELS[chosen, None].astype(np.uint8), planes], axis=1).tobytes())


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    """Seven images in each training file and in the test file; the first test image is a training one too."""
    for number, name in enumerate(TRAIN_FILES):
        write_records(tmp_path / name, slice(7 * number, 7 * number + 7))
    write_records(tmp_path / TEST_FILE, slice(34, 41))
    return tmp_path


def write_pictures(folder: Path, chosen: range) -> None:
    pillow = pytest.importorskip("PIL.Image")
    for number in chosen:
        place = folder / CLASSES[LABELS[number]]
        place.mkdir(parents=True, exist_ok=True)
        pillow.fromarray(IMAGES[number]).save(place / f"{number}.png")


def images_in(tokens: np.ndarray) -> set[bytes]:
    return {one.tobytes() for one in np.round(cifar10.LAYOUT.to_image(tokens) * 255).astype(np.uint8)}


def test_the_binary_version_keeps_its_split_but_for_copies_of_test_images(binary: Path) -> None:
    data = load(of_folder(binary, layers=3))
    assert (len(data.train_targets), len(data.test_targets)) == (34, 7)
    assert data.counts == {"images_read": 42, "left_out_of_training": 1}
    assert data.train_inputs[0].shape == (34, 64, 48) and data.train_inputs[0].dtype == np.float32
    assert images_in(data.train_inputs[0]) == {one.tobytes() for one in IMAGES[:34]}
    assert images_in(data.test_inputs[0]) == {one.tobytes() for one in IMAGES[34:41]}
    assert data.settings == {"layers": 3, "patch_width": 48, "classes": 10}
    assert data.source.name == "CIFAR-10, binary version" and str(binary) not in str(data.details())


def test_labels_stay_with_their_images(binary: Path) -> None:
    data = load(of_folder(binary))
    label_of = {one.tobytes(): label for one, label in zip(IMAGES, LABELS, strict=True)}
    images = np.round(cifar10.LAYOUT.to_image(data.test_inputs[0]) * 255).astype(np.uint8)
    assert [label_of[one.tobytes()] for one in images] == data.test_targets.tolist()


def test_the_folder_that_the_published_archive_makes_is_found(binary: Path) -> None:
    inner = binary / "data" / "cifar-10-batches-bin"
    inner.mkdir(parents=True)
    for name in (*TRAIN_FILES, TEST_FILE):
        (binary / name).rename(inner / name)
    assert len(load(of_folder(binary / "data")).test_targets) == 7


def test_png_files_with_a_split_hold_the_same_data_as_the_binary_version(
    binary: Path, tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    write_pictures(pictures / "train", range(35))
    write_pictures(pictures / "test", range(34, 41))
    data, expected = load(of_folder(pictures)), load(of_folder(binary))
    np.testing.assert_array_equal(data.train_inputs[0], expected.train_inputs[0])
    np.testing.assert_array_equal(data.train_targets, expected.train_targets)
    np.testing.assert_array_equal(data.test_targets, expected.test_targets)
    assert data.source.name == "CIFAR-10, PNG files with a split"


def test_png_files_without_a_split_are_split_by_their_pixels_and_say_so(tmp_path: Path) -> None:
    write_pictures(tmp_path, range(42))
    data = load(of_folder(tmp_path))
    assert len(data.train_targets) + len(data.test_targets) == 42
    assert 0 < len(data.test_targets) < 20
    assert data.source.name == "CIFAR-10, PNG files without a split, split by their pixels"
    np.testing.assert_array_equal(data.test_inputs[0], load(of_folder(tmp_path)).test_inputs[0])


def test_a_row_s_model_is_as_long_as_an_image(binary: Path) -> None:
    lengths = {task.max_length for tasks in IMAGES_ROWS.values() for task in tasks if task.name == "cifar10"}
    assert lengths == {load(of_folder(binary)).test_inputs[0].shape[1]}


def test_sizes_can_be_limited(binary: Path) -> None:
    data, whole = load(of_folder(binary, train_examples=11, test_examples=5)), load(of_folder(binary))
    assert (len(data.train_targets), len(data.test_targets)) == (11, 5)
    np.testing.assert_array_equal(data.train_inputs[0], whole.train_inputs[0][:11])


def test_folders_that_do_not_hold_the_data_say_what_should_be_there(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="nowhere', which should hold CIFAR-10, does not exist"):
        load(of_folder(tmp_path / "nowhere"))
    with pytest.raises(
        DataMissing, match=r"does not hold CIFAR-10: put in the binary version \(data_batch_1.bin"
    ):
        load(of_folder(tmp_path))
    (tmp_path / "test_batch").write_bytes(b"cos\nsystem\n")
    with pytest.raises(DataMissing, match=r"does not hold CIFAR-10 \(its pickled files are not read\)"):
        load(of_folder(tmp_path))


def test_damaged_files_are_named(binary: Path, tmp_path: Path) -> None:
    path = binary / TRAIN_FILES[2]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataMissing, match=r"data_batch_3\.bin has 21510 bytes, not whole records of 3073"):
        load(of_folder(binary))
    path.write_bytes(bytes([10]) + bytes(3072))
    with pytest.raises(DataMissing, match=r"data_batch_3\.bin has a label of 10"):
        read_records(path)
    path.unlink()
    with pytest.raises(DataMissing, match=r"binary version lacks data_batch_3\.bin"):
        load(of_folder(binary))


def test_pictures_that_are_none_are_named(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    (tmp_path / "dog").mkdir()
    with pytest.raises(DataMissing, match="hold no PNG files"):
        load(of_folder(tmp_path))
    (tmp_path / "dog" / "1.png").write_bytes(b"no picture")
    with pytest.raises(DataMissing, match=r"dog/1\.png is not a readable PNG file"):
        load(of_folder(tmp_path))
    pillow.fromarray(np.zeros((7, 11, 3), np.uint8)).save(tmp_path / "dog" / "1.png")
    with pytest.raises(DataMissing, match=r"dog/1\.png has 11×7 pixels, not 32×32"):
        load(of_folder(tmp_path))


def test_one_source_never_takes_the_place_of_another(binary: Path) -> None:
    for task in (
        of_folder(binary, source="huggingface"),
        dataclasses.replace(TASK, settings={"source": "folder"}),
    ):
        with pytest.raises(ValueError, match="source 'folder' and the setting folder go together"):
            load(task)
    with pytest.raises(ValueError, match="data from huggingface or folder, got source 'packages'"):
        load(dataclasses.replace(TASK, settings={"source": "packages"}))


def test_the_canonical_data_set_is_asked_for_by_name_and_its_absence_names_the_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    datasets = pytest.importorskip("datasets")
    asked = []

    def unreachable(name: str, *parts: str) -> None:
        asked.append(name)
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(DataMissing, match=r"'uoft-cs/cifar10' cannot be had .*set folder to a local copy"):
        load(TASK)
    assert asked == ["uoft-cs/cifar10"]


def test_what_hugging_face_hands_over_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    folder = tmp_path / "cifar"
    folder.mkdir()
    features = datasets.Features({"img": datasets.Image(), "label": datasets.Value("int64")})
    for name, chosen in (("train", slice(0, 12)), ("test", slice(11, 18))):
        rows = {"img": list(IMAGES[chosen]), "label": LABELS[chosen].tolist()}
        datasets.Dataset.from_dict(rows, features=features).to_parquet(folder / f"{name}.parquet")
    data = load(dataclasses.replace(TASK, settings={"huggingface_name": str(folder)}))
    assert (len(data.train_targets), len(data.test_targets)) == (11, 7)
    assert images_in(data.test_inputs[0]) == {one.tobytes() for one in IMAGES[11:18]}
    assert huggingface.load_splits(
        dataclasses.replace(TASK, settings={"huggingface_name": str(folder)}), "x", ("img",)
    ).name == str(folder)


def test_principal_components_learn_what_is_in_the_pixels(binary: Path) -> None:
    data = load(of_folder(binary))
    targets = (data.train_inputs[0].mean(axis=(1, 2)) > 0.5).astype(np.int64)
    easy = dataclasses.replace(
        data, train_targets=targets, test_inputs=data.train_inputs, test_targets=targets
    )
    assert np.mean(cifar10.principal_components(easy)["accuracy"]) > 0.9
