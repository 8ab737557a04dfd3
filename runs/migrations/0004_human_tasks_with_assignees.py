import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0003_signals_know_who_took_them"),
    ]

    operations = [
        migrations.CreateModel(
            name="TaskAssignee",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(choices=[("user", "User"), ("role", "Role"), ("group", "Group")], max_length=8),
                ),
                ("name", models.CharField(max_length=255)),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.AlterModelOptions(
            name="humantask",
            options={"ordering": ["id"]},
        ),
        migrations.RemoveField(
            model_name="humantask",
            name="assignees",
        ),
        migrations.AddField(
            model_name="humantask",
            name="node",
            field=models.CharField(default="", max_length=64),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name="humantask",
            name="run",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="human_tasks", to="runs.run"
            ),
        ),
        migrations.AddIndex(
            model_name="humantask",
            index=models.Index(fields=["organization", "status", "-id"], name="task_by_status"),
        ),
        migrations.AddIndex(
            model_name="humantask",
            index=models.Index(fields=["run", "step"], name="task_by_step"),
        ),
        migrations.AddConstraint(
            model_name="humantask",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status", "open")), fields=("run", "step"), name="one_open_task_per_step"
            ),
        ),
        migrations.AddField(
            model_name="taskassignee",
            name="task",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="assignees",
                to="runs.humantask",
            ),
        ),
        migrations.AddConstraint(
            model_name="taskassignee",
            constraint=models.UniqueConstraint(fields=("task", "kind", "name"), name="assigned_once"),
        ),
    ]
