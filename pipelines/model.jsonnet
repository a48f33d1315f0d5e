// The three pipelines of a model as a template, for those who start from pachctl instead of a model's folder:
//   pachctl create pipeline --jsonnet pipelines/model.jsonnet --arg name=churn --arg project=churn
// Without further arguments it gives what `pdk new` writes for a model of that name.
local pfs(name, repo) = { pfs: { name: name, repo: repo, branch: 'master', glob: '/' } };

function(name, project=name, data_repo=name + '-data', code_repo=name + '-code', secret=name + '-secret',
         config='const.yaml', train_image='pdk-train:0.1.0', deploy_image='pdk-deploy:0.1.0',
         service_account='pach-deploy', requests='cpu=1,memory=1Gi', limits='cpu=2,memory=2Gi')
  local pipeline(step) = { name: name + '-' + step, project: { name: project } };
  local transform(image, command, keys) = {
    image: image,
    cmd: ['/bin/sh'],
    stdin: [command],
    secrets: [{ name: secret, env_var: std.asciiUpper(key), key: key } for key in keys],
  };
  [
    {
      pipeline: pipeline('train'),
      description: 'Trains %s on what a commit to %s changed, and registers it as a new version.' % [name, data_repo],
      input: pfs('data', data_repo) { pfs+: { empty_files: true } },
      transform: transform(
        train_image,
        'exec python train.py --code "pfs://$PPS_PROJECT_NAME/%s@"master --config %s --repo %s --project "$PPS_PROJECT_NAME" --model %s'
        % [code_repo, config, data_repo, name],
        ['det_master', 'det_user', 'det_password', 'pac_token', 'kserve_namespace']
      ),
      datum_tries: 1,
      job_timeout: '86400s',
      autoscaling: true,
    },
    {
      pipeline: pipeline('deploy'),
      description: 'Makes a TorchServe archive of each version of %s, checks that it answers, and stores it for KServe.' % name,
      input: pfs('model', name + '-train'),
      transform: transform(
        deploy_image,
        'exec python deploy.py build --deployment-name ' + name,
        ['cloud_model_host', 'cloud_model_bucket']
      ),
      datum_tries: 1,
      autoscaling: true,
    },
    {
      pipeline: pipeline('rollout'),
      description: 'Points the InferenceService %s at each archive and waits until the new revision answers.' % name,
      input: pfs('model', name + '-deploy'),
      transform: transform(
        deploy_image,
        'exec python deploy.py rollout --deployment-name %s --service-account-name %s --resource-requests %s --resource-limits %s --timeout 600'
        % [name, service_account, requests, limits],
        ['kserve_namespace']
      ),
      datum_tries: 1,
      job_timeout: '1200s',
      autoscaling: true,
    },
  ]
