"""The Determined master: puts the engines together, starts and stops them.

Built by the composition root and handed to `pdk.determined.api.server.DeterminedServer`; the API calls the engines.
"""

from pdk.base.locks import AlreadyLocked, lock_file
from pdk.determined.errors import DataFolderInUse
from pdk.determined.master.checkpoints import Checkpoints
from pdk.determined.master.chores import Chores
from pdk.determined.master.cluster import Cluster
from pdk.determined.master.config.experiment import Defaults
from pdk.determined.master.experiments import Experiments
from pdk.determined.master.launch import RunFolders
from pdk.determined.master.logs import TaskLogs
from pdk.determined.master.master_log import MasterLog
from pdk.determined.master.models import Models
from pdk.determined.master.reports import Reports
from pdk.determined.master.runs import TrialLoop
from pdk.determined.master.settings import MasterSettings
from pdk.determined.master.signals import Signals
from pdk.determined.master.transitions import Transitions
from pdk.determined.master.trials import Trials
from pdk.determined.master.users import Users
from pdk.determined.master.workspaces import Workspaces
from pdk.determined.store.files import ModelDefinitions
from pdk.determined.store.schema import open_database
from pdk.process.child import Launcher, SubprocessLauncher


class Master:
    """All engines over one data folder, which it locks: a second master would end the first one's trials."""

    def __init__(self, settings: MasterSettings, launcher: Launcher | None = None) -> None:
        """Open the data folder and bring it up to date; nothing runs before `start`. Raises DataFolderInUse."""
        self.settings = settings
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._lock = lock_file(settings.data_dir / "lock")
        except AlreadyLocked as error:
            raise DataFolderInUse(f"another master is running over {settings.data_dir}: stop it first") from error
        self._db = open_database(settings.data_dir / "determined.db")
        self.signals = Signals()
        self.own_log = MasterLog()
        self.own_log.attach()
        definitions = ModelDefinitions(settings.data_dir / "model-definitions")
        transitions = Transitions(self._db, self.signals)
        self.users = Users(self._db)
        self.workspaces = Workspaces(self._db)
        self.users.set_up()
        self.workspaces.set_up()
        self.cluster = Cluster(self._db, settings)
        self.logs = TaskLogs(self._db, self.signals)
        defaults = Defaults(str(settings.checkpoint_folder), settings.resource_pool)
        self.experiments = Experiments(self._db, self.signals, transitions, definitions, defaults)
        self.trials = Trials(self._db, transitions)
        self.reports = Reports(self._db, self.signals)
        self.checkpoints = Checkpoints(self._db, self.signals)
        self.models = Models(self._db)
        self._chores = Chores(self._db, self.signals, definitions)
        self._loop = TrialLoop(
            self._db, settings, self.signals, transitions, self.logs, definitions, launcher or SubprocessLauncher()
        )

    def start(self, master_url: str) -> None:
        """Start the work loops; trials will speak to `master_url`."""
        folders = RunFolders(self.settings, self.cluster.names, master_url)
        self.logs.start()
        self._loop.start(folders)
        self._chores.start(folders, self.cluster.names.cluster_id)

    def drain(self) -> None:
        """Stop the trials, within the grace of the settings with a checkpoint; the API must still answer them."""
        self._loop.stop()

    def stop(self) -> None:
        """End everything; call `drain` first and stop the API in between."""
        self._chores.stop()
        self.logs.stop()
        self.signals.close()
        self.own_log.detach()
        self._db.close()
        self._lock.close()
